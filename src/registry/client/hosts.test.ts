import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';

import { afterEach, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { OCI_MANIFEST } from '../manifest.ts';
import { testImage } from '../testing/images.ts';
import { startInternet } from '../testing/internet.ts';
import type { Internet, Site } from '../testing/internet.ts';
import { serve } from '../testing/served.ts';
import type { Credentials } from './auth.ts';
import { createRegistryClient } from './client.ts';
import type { RegistryClientOptions } from './client.ts';

/**
 * How the registries that people have let one in, by the challenges that their documentation and their answers show. The
 * hosts are played; of the real ones none was asked.
 */
const image = await testImage([{ hello: 'hosts' }]);
const password: Credentials = { kind: 'basic', username: 'robot', password: 'canary-secret' };
const BASIC = `Basic ${Buffer.from('robot:canary-secret').toString('base64')}`;

let internet: Internet | undefined;
afterEach(async () => internet?.close());

/** What each host was shown, in order: `<method> <host><path> <authorization>`. */
let shown: string[] = [];

async function clientOf(
  sites: Readonly<Record<string, Site>>,
  host: string,
  options: Partial<RegistryClientOptions> = {},
) {
  shown = [];
  const watched = Object.entries(sites).map(([name, site]): [string, Site] => [
    name,
    (request, response) => {
      const path = (request.url ?? '').split('?')[0];
      shown.push(`${request.method} ${name}${path} ${request.headers.authorization ?? '-'}`);
      site(request, response);
    },
  ]);
  internet = await startInternet(Object.fromEntries(watched));
  const retry = { wait: async () => {}, random: () => 0.5, now: () => 0, attempts: 2 };
  return createRegistryClient({ host, retry, agentFor: internet.agentFor, ...options });
}

/** A registry that lets in whoever has `authorization`. */
function registryThat(challenge: string, authorization: string): Site {
  return (request, response) => {
    if (request.headers.authorization !== authorization) {
      response.writeHead(401, { 'www-authenticate': challenge }).end();
      return;
    }
    response.writeHead(200, { 'content-type': OCI_MANIFEST }).end(request.method === 'HEAD' ? undefined : image.bytes);
  };
}

function tokenSite(asked: string[], give = () => 'given'): Site {
  return (request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'https://x');
    asked.push(`${searchParams.get('service')} ${searchParams.getAll('scope').join(' ')}`);
    response.end(JSON.stringify({ token: give() }));
  };
}

const BEARER = 'Bearer given';

test('Docker Hub gives its public images a token without a password, and the password goes to its token service alone', async () => {
  const asked: string[] = [];
  const challenge =
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/node:pull"';
  const sites = {
    'registry-1.docker.io': registryThat(challenge, BEARER),
    'auth.docker.io': tokenSite(asked),
  };
  const anyone = await clientOf(sites, 'docker.io');
  expect((await anyone.manifest('library/node', '22'))?.digest).toBe(image.digest);
  expect(shown.filter((line) => line.includes('auth.docker.io'))).toEqual(['GET auth.docker.io/token -']);
  expect(internet?.connected.sort()).toEqual(['auth.docker.io:443', 'registry-1.docker.io:443']);
  await internet?.close();
  const known = await clientOf(sites, 'docker.io', { credentials: async () => password });
  await known.manifest('library/node', '22');
  expect(shown).toEqual([
    'GET registry-1.docker.io/v2/library/node/manifests/22 -',
    `GET auth.docker.io/token ${BASIC}`,
    `GET registry-1.docker.io/v2/library/node/manifests/22 ${BEARER}`,
  ]);
  expect(new Set(asked)).toEqual(new Set(['registry.docker.io repository:library/node:pull']));
});

test('ECR takes a password of twelve hours, and a new one is asked for when it says 403 without a challenge', async () => {
  const host = '123456789012.dkr.ecr.eu-central-1.amazonaws.com';
  const expired =
    '{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}';
  let valid = 'first';
  const header = (secret: string) => `Basic ${Buffer.from(`AWS:${secret}`).toString('base64')}`;
  const challenge = `Basic realm="https://${host}/",service="ecr.amazonaws.com"`;
  const site: Site = (request, response) => {
    if (request.headers.authorization !== undefined && request.headers.authorization !== header(valid))
      response.writeHead(403, { 'content-type': 'application/json' }).end(expired);
    else registryThat(challenge, header(valid))(request, response);
  };
  let given = 0;
  const credentials = async (): Promise<Credentials> => {
    given++;
    return { kind: 'basic', username: 'AWS', password: valid };
  };
  const client = await clientOf({ [host]: site }, host, { credentials });
  await client.manifest('shop/web', 'v1');
  await client.manifest('shop/web', 'v1');
  expect(given).toBe(1);
  valid = 'second';
  expect((await client.manifest('shop/web', 'v1'))?.digest).toBe(image.digest);
  expect(given).toBe(2);
});

test('a 403 that stays is told after one look at the credentials', async () => {
  let given = 0;
  const site: Site = (request, response) => {
    if (request.headers.authorization === undefined)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    else response.writeHead(403).end('{"errors":[{"code":"DENIED","message":"not yours"}]}');
  };
  const credentials = async () => {
    given++;
    return password;
  };
  const client = await clientOf({ 'ecr.test': site }, 'ecr.test', { credentials });
  await expect(client.manifest('shop/web', 'v1')).rejects.toMatchObject({ code: 'registry.denied' });
  await expect(client.manifest('shop/web', 'v1')).rejects.toMatchObject({ code: 'registry.denied' });
  expect(given).toBe(2);
});

test('GitLab has its token service beside the registry', async () => {
  const asked: string[] = [];
  const challenge = 'Bearer realm="https://gitlab.example.test/jwt/auth",service="container_registry"';
  const client = await clientOf(
    { 'registry.example.test': registryThat(challenge, BEARER), 'gitlab.example.test': tokenSite(asked) },
    'registry.example.test',
    { credentials: async () => password },
  );
  await client.manifest('group/shop/web', 'v1');
  expect(asked).toEqual(['container_registry repository:group/shop/web:pull']);
  expect(shown).toContain(`GET gitlab.example.test/jwt/auth ${BASIC}`);
});

test('Harbor takes the name of a robot, dollar and all', async () => {
  const asked: string[] = [];
  const challenge = 'Bearer realm="https://harbor.test/service/token",service="harbor-registry"';
  const token = tokenSite(asked);
  const registry = registryThat(challenge, BEARER);
  const client = await clientOf(
    {
      'harbor.test': (request, response) => (request.url?.startsWith('/service') ? token : registry)(request, response),
    },
    'harbor.test',
    { credentials: async () => ({ kind: 'basic', username: 'robot$shop+towpath', password: 'canary' }) },
  );
  await client.manifest('shop/web', 'v1');
  const header = Buffer.from('robot$shop+towpath:canary').toString('base64');
  expect(shown[1]).toBe(`GET harbor.test/service/token Basic ${header}`);
  expect(asked).toEqual(['harbor-registry repository:shop/web:pull']);
});

test('a token that says too little is asked for anew, with what the registry says is missing', async () => {
  const asked: string[] = [];
  let missing = 'repository:a/b:pull';
  const token = tokenSite(asked, () => `t${asked.length}`);
  const registry: Site = (request, response) => {
    const challenge = `Bearer realm="https://registry.test/token",service="s",scope="${missing}",error="insufficient_scope"`;
    registryThat(challenge, missing === 'repository:a/b:pull' ? 'Bearer t1' : 'Bearer t2')(request, response);
  };
  const client = await clientOf(
    {
      'registry.test': (request, response) => (request.url?.startsWith('/token') ? token : registry)(request, response),
    },
    'registry.test',
  );
  expect((await client.manifest('a/b', 'v1'))?.digest).toBe(image.digest);
  missing = 'repository:a/base:pull';
  expect((await client.manifest('a/b', 'v1'))?.digest).toBe(image.digest);
  expect(asked).toEqual(['s repository:a/b:pull', 's repository:a/b:pull repository:a/base:pull']);
});

test('of several challenges the one for a token is answered, and what is quoted is none', async () => {
  const challenge = 'Basic realm="old, Bearer realm=https://evil.test", Bearer realm="https://registry.test/token"';
  const token = tokenSite([]);
  const registry = registryThat(challenge, BEARER);
  const client = await clientOf(
    {
      'registry.test': (request, response) =>
        (request.url === '/token?scope=repository%3Aa%2Fb%3Apull' ? token : registry)(request, response),
    },
    'registry.test',
  );
  expect((await client.manifest('a/b', 'v1'))?.digest).toBe(image.digest);
});

test.for([
  ['another domain', 'https://token.elsewhere.test/token', 'registry.example.test'],
  ['a neighbour below a public suffix', 'https://evil.co.uk/token', 'registry.co.uk'],
  ['no encryption', 'http://registry.example.test/token', 'registry.example.test'],
  ['no address', 'nonsense', 'registry.example.test'],
] as const)('the password goes to no token service of %s', async ([, realm, host]) => {
  const sites = {
    [host]: registryThat(`Bearer realm="${realm}"`, BEARER),
    'token.elsewhere.test': tokenSite([]),
    'evil.co.uk': tokenSite([]),
    [`http://${host}`]: tokenSite([]),
  };
  for (const credentials of [password, { kind: 'identity' as const, token: 'canary-identity' }]) {
    const client = await clientOf(sites, host, { credentials: async () => credentials });
    const failure = client.manifest('a/b', 'v1');
    await expect(failure).rejects.toMatchObject({
      code: 'registry.untrusted-redirect',
      message: expect.not.stringContaining('canary') as string,
    });
    expect(shown).toEqual([`GET ${host}/v2/a/b/manifests/v1 -`]);
    await internet?.close();
  }
});

test('a token service of another domain gets the password once it is named as trusted', async () => {
  const sites = {
    'registry.example.test': registryThat('Bearer realm="https://token.elsewhere.test/token"', BEARER),
    'token.elsewhere.test': tokenSite([]),
  };
  const options = { credentials: async () => password, trustedRealms: ['token.elsewhere.test'] };
  const client = await clientOf(sites, 'registry.example.test', options);
  expect((await client.manifest('a/b', 'v1'))?.digest).toBe(image.digest);
  expect(shown[1]).toBe(`GET token.elsewhere.test/token ${BASIC}`);
});

test('a token service that redirects is not followed', async () => {
  const client = await clientOf(
    {
      'registry.test': registryThat('Bearer realm="https://auth.registry.test/token"', BEARER),
      'auth.registry.test': (_, response) =>
        void response.writeHead(307, { location: 'https://elsewhere.test/token' }).end(),
      'elsewhere.test': tokenSite([]),
    },
    'registry.test',
    { credentials: async () => password },
  );
  await expect(client.manifest('a/b', 'v1')).rejects.toMatchObject({ code: 'registry.failed' });
  expect(shown.filter((line) => line.includes('elsewhere'))).toEqual([]);
});

const content = Buffer.from('content');
const digest = sha256(content);

test.for([
  ['another host', 'https://blobs.test/1'],
  ['another port', 'https://registry.test:5001/1'],
] as const)('a blob of %s is read there without credentials', async ([, location]) => {
  const client = await clientOf(
    {
      'registry.test': redirecting(location),
      'registry.test:5001': (_, response) => void response.end(content),
      'blobs.test': (_, response) => void response.end(content),
    },
    'registry.test',
    { credentials: async () => password },
  );
  expect(await text(await client.readBlob('a/b', digest))).toBe('content');
  expect(shown.at(-1)).toBe(`GET ${location.replace('https://', '')} -`);
});

test.for([
  ['another host', 'https://blobs.test/1?state=x'],
  ['another port', 'https://registry.test:5001/1'],
] as const)(
  'a blob is sent to %s without credentials, when the registry names it as the place',
  async ([, location]) => {
    const store: Site = (request, response) => void collect(request).then(() => response.writeHead(201).end());
    const client = await clientOf(
      { 'registry.test': uploading(location), 'registry.test:5001': store, 'blobs.test': store },
      'registry.test',
      { credentials: async () => password },
    );
    await client.writeBlob('a/b', { digest, size: content.length, open: () => content });
    expect(shown.at(-1)).toBe(`PUT ${location.replace(/^https:\/\/|\?.*$/g, '')} -`);
    expect(shown.filter((line) => line.includes(BASIC) && !/ registry\.test\//.test(line))).toEqual([]);
  },
);

test('nothing goes where there is no encryption, once it began with it', async () => {
  const plain: Site = (_, response) => void response.end(content);
  const read = await clientOf(
    { 'registry.test': redirecting('http://registry.test/1'), 'http://registry.test': plain },
    'registry.test',
    { credentials: async () => password },
  );
  const refused = { code: 'registry.untrusted-redirect' };
  await expect(read.readBlob('a/b', digest)).rejects.toMatchObject(refused);
  await internet?.close();
  const write = await clientOf(
    { 'registry.test': uploading('http://registry.test/1'), 'http://registry.test': plain },
    'registry.test',
    { credentials: async () => password },
  );
  await expect(write.writeBlob('a/b', { digest, size: content.length, open: () => content })).rejects.toMatchObject(
    refused,
  );
  expect(shown.filter((line) => line.includes('http:'))).toEqual([]);
});

test('a manifest that is redirected when it is written is not sent on', async () => {
  const client = await clientOf(
    {
      'registry.test': (_, response) => void response.writeHead(307, { location: 'https://elsewhere.test/' }).end(),
      'elsewhere.test': (_, response) => void response.writeHead(201).end(),
    },
    'registry.test',
  );
  await expect(client.putManifest('a/b', 'v1', image)).rejects.toMatchObject({ code: 'registry.untrusted-redirect' });
  expect(shown.filter((line) => line.includes('elsewhere'))).toEqual([]);
});

test.for([
  ['shorter than it says', { 'content-length': '900' }, content],
  ['cut where its length says', { 'content-length': '4' }, content.subarray(0, 4)],
  ['longer than the content', {}, Buffer.concat([content, content])],
  ['empty', {}, Buffer.alloc(0)],
] as const)('a body that is %s ends with an error, never with an end', async ([, headers, body]) => {
  const client = await clientOf(
    { 'registry.test': (_, response) => void response.writeHead(200, headers).write(body, () => response.destroy()) },
    'registry.test',
  );
  await expect(client.readBlob('a/b', digest).then(text)).rejects.toMatchObject({
    code: /^registry\.(digest-mismatch|unreachable)$/,
  });
});

test('hosts that the environment excepts, and this machine, are reached without the proxy', async () => {
  const excepted = await clientOf({ 'registry.test': (_, response) => void response.end() }, 'direct.test');
  await expect(excepted.tags('a/b')).rejects.toMatchObject({ code: 'registry.unreachable' });
  const here = await serve(() => (_, response) => void response.end('{"tags":["v1"]}'));
  const agentFor = internet?.agentFor ?? expect.unreachable();
  expect(await createRegistryClient({ host: here.host, agentFor }).tags('a/b')).toEqual(['v1']);
  await here.close();
  expect(internet?.connected).toEqual([]);
});

function redirecting(location: string): Site {
  return (request, response) => {
    if (request.headers.authorization !== BASIC)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="mine"' }).end();
    else response.writeHead(307, { location }).end();
  };
}

function uploading(location: string): Site {
  return (request, response) => {
    if (request.headers.authorization !== BASIC)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="mine"' }).end();
    else if (request.method === 'POST') response.writeHead(202, { location }).end();
    else response.writeHead(404).end();
  };
}

async function collect(request: IncomingMessage): Promise<string> {
  return text(request);
}
