import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';

import { afterEach, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { OCI_MANIFEST } from '../manifest.ts';
import { startClosedRegistry } from '../testing/debian-registry.ts';
import { noise, pushBlob, pushImage, testImage } from '../testing/images.ts';
import { createRegistryClient } from './client.ts';
import type { RegistryClientOptions } from './client.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

const servers: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

/** A registry that says what a test wants it to say. */
async function scripted(handler: Handler): Promise<string> {
  const server = createServer((request, response) => void handler(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push({
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A client that waits for nothing and remembers how long it would have waited. */
function patient(host: string, options: Partial<RegistryClientOptions> = {}) {
  const waits: number[] = [];
  const wait = async (ms: number) => {
    waits.push(ms);
  };
  const registry = createRegistryClient({ host, retry: { wait, random: () => 0.5, now: () => 0 }, ...options });
  return { registry, waits };
}

const basic = { kind: 'basic' as const, username: 'robot', password: 'canary-secret' };
const image = await testImage([{ hello: 'client' }]);

function manifestReply(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': OCI_MANIFEST, 'docker-content-digest': image.digest }).end(image.bytes);
}

test('a busy or broken registry is asked again, as late as it wishes', async () => {
  const answers = [503, 429, 500];
  const host = await scripted((_, response) => {
    const status = answers.shift();
    if (status === undefined) return manifestReply(response);
    response.writeHead(status, status === 429 ? { 'retry-after': '7' } : {}).end('busy');
  });
  const { registry, waits } = patient(host);
  expect((await registry.manifest('a/b', 'v1'))?.digest).toBe(image.digest);
  expect(waits).toEqual([75, 7000, 300]);
});

test.for([
  [500, 'registry.unavailable'],
  [503, 'registry.unavailable'],
  [529, 'registry.unavailable'],
  [408, 'registry.unavailable'],
  [429, 'registry.throttled'],
] as const)('a registry that answers %i to every try is one to be asked again later', async ([status, code]) => {
  let asked = 0;
  const host = await scripted(async (request, response) => {
    asked++;
    for await (const _ of request);
    response.writeHead(status).end('{"errors":[{"code":"TAG_INVALID","message":"disk on fire"}]}');
  });
  const { registry, waits } = patient(host);
  const failure = { code, what: expect.stringContaining('disk on fire') as string };
  await expect(registry.manifest('a/b', 'v1')).rejects.toMatchObject(failure);
  expect([asked, waits.length]).toEqual([6, 5]);
  const bytes = noise(2_000_000);
  for (const work of [
    () => registry.hasBlob('a/b', image.digest),
    () => registry.readBlob('a/b', image.digest),
    () => registry.writeBlob('a/b', { digest: sha256(bytes), size: bytes.length, open: () => bytes }),
    () => registry.mountBlob('a/b', image.digest, 'a/c'),
    () => registry.tag('a/b', image.digest, 'v1'),
    () => registry.tags('a/b'),
    () => registry.deleteManifest('a/b', 'v1'),
    () => registry.referrers('a/b', image.digest),
    () => registry.putManifest('a/b', 'v1', image),
  ]) {
    await expect(work(), work.toString()).rejects.toMatchObject({ code });
  }
});

test.for([
  [400, 'registry.failed'],
  [404, 'registry.not-found'],
  [501, 'registry.unsupported'],
] as const)('a registry that answers %i has answered', async ([status, code]) => {
  const host = await scripted((_, response) => void response.writeHead(status).end());
  const { registry, waits } = patient(host);
  await expect(registry.readBlob('a/b', image.digest)).rejects.toMatchObject({ code });
  expect(waits).toEqual([]);
});

test('an answer that breaks off every time is one to be asked for again later', async () => {
  const host = await scripted((_, response) => {
    response.writeHead(200, { 'content-length': 1000 });
    response.write('half', () => response.destroy());
  });
  const { registry } = patient(host);
  await expect(registry.manifest('a/b', 'v1')).rejects.toMatchObject({ code: 'registry.unreachable' });
  const blob = await registry.readBlob('a/b', image.digest);
  await expect(buffer(blob)).rejects.toMatchObject({ code: 'registry.unreachable' });
});

test('a registry that is not there is a typed error after the last try', async () => {
  const { registry } = patient('127.0.0.1:1');
  await expect(registry.tags('a/b')).rejects.toMatchObject({ code: 'registry.unreachable' });
});

test('a manifest whose bytes are not those of its digest is refused', async () => {
  const host = await scripted((_, response) => {
    response.writeHead(200, { 'content-type': OCI_MANIFEST }).end(Buffer.concat([image.bytes, Buffer.from(' ')]));
  });
  const { registry } = patient(host);
  await expect(registry.manifest('a/b', image.digest)).rejects.toMatchObject({ code: 'registry.digest-mismatch' });
});

test('a blob whose bytes are not those of its digest ends with an error', async () => {
  const host = await scripted((_, response) => void response.end('forged'));
  const { registry } = patient(host);
  const blob = await registry.readBlob('a/b', sha256('true'));
  await expect(text(blob)).rejects.toMatchObject({ code: 'registry.digest-mismatch' });
});

test('a download that breaks is taken up where it broke', async () => {
  const bytes = noise(300_000);
  const ranges: (string | undefined)[] = [];
  const host = await scripted((request, response) => {
    ranges.push(request.headers.range);
    if (ranges.length === 1) {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 100_000), () => response.destroy());
      return;
    }
    const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0]);
    response.writeHead(206, { 'content-length': bytes.length - start }).end(bytes.subarray(start));
  });
  const { registry } = patient(host);
  expect((await buffer(await registry.readBlob('a/b', sha256(bytes)))).equals(bytes)).toBe(true);
  expect(ranges[0]).toBeUndefined();
  expect(ranges[1]).toMatch(/^bytes=[1-9]\d*-$/);
});

test('an upload that breaks goes on where the registry says it stands', async () => {
  const bytes = noise(3_000_000);
  const parts: Buffer[] = [];
  const ranges: (string | undefined)[] = [];
  let stands = 0;
  const host = await scripted(async (request, response) => {
    const here = { location: '/v2/a/b/blobs/uploads/1', range: `0-${Math.max(0, stands - 1)}` };
    if (request.method === 'HEAD') response.writeHead(404).end();
    else if (request.method === 'POST') response.writeHead(202, here).end();
    else if (request.method === 'GET') response.writeHead(204, here).end();
    else if (request.method === 'PUT')
      response.writeHead(sha256(Buffer.concat(parts)) === sha256(bytes) ? 201 : 400).end();
    else {
      ranges.push(request.headers['content-range']);
      for await (const chunk of request as AsyncIterable<Buffer>) {
        parts.push(chunk);
        stands += chunk.length;
        if (ranges.length === 1 && stands > 1_000_000) {
          response.destroy();
          return;
        }
      }
      response.writeHead(202, { ...here, range: `0-${stands - 1}` }).end();
    }
  });
  const { registry } = patient(host);
  await registry.writeBlob('a/b', { digest: sha256(bytes), size: bytes.length, open: () => bytes });
  expect(ranges).toHaveLength(2);
  expect(ranges[1]).toMatch(/^1\d{6}-2999999$/);
});

test('basic credentials open a real registry and wrong ones are an error without the password', async () => {
  // bcrypt of `canary-secret`
  const server = await startClosedRegistry({
    htpasswd: 'robot:$2b$05$abcdefghijklmnopqrstuu3PYrq6m/qxbNlTuN4B34JSamOsjZkKu',
  });
  servers.push(server);
  const good = createRegistryClient({ host: server.host, credentials: async () => basic });
  await pushImage(good, 'closed/app', image, 'v1');
  expect((await good.manifest('closed/app', 'v1'))?.digest).toBe(image.digest);
  for (const credentials of [async () => null, async () => ({ ...basic, password: 'canary-wrong' })]) {
    const bad = createRegistryClient({ host: server.host, credentials });
    const failure = pushBlob(bad, 'closed/app', image.config);
    await expect(failure).rejects.toMatchObject({
      code: 'registry.unauthorized',
      message: expect.not.stringContaining('canary') as string,
    });
  }
});

test('many first requests at once all learn to send the password', async () => {
  const host = await scripted((request, response) => {
    if (request.headers.authorization?.startsWith('Basic ')) return manifestReply(response);
    response.writeHead(401, { 'www-authenticate': 'Digest realm="x", Basic realm="y"' }).end();
  });
  const registry = createRegistryClient({ host, credentials: async () => basic });
  const found = await Promise.all(Array.from({ length: 20 }, async () => registry.manifest('a/b', 'v1')));
  expect(new Set(found.map((one) => one?.digest))).toEqual(new Set([image.digest]));
});

test('a token service that is busy is asked again', async () => {
  let busy = 2;
  const host = await scripted((request, response) => {
    if (request.url?.startsWith('/token')) response.writeHead(busy-- > 0 ? 503 : 200).end('{"token":"t"}');
    else if (request.headers.authorization === 'Bearer t') manifestReply(response);
    else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end();
  });
  const { registry, waits } = patient(host);
  expect((await registry.manifest('a/b', 'v1'))?.digest).toBe(image.digest);
  expect(waits).toHaveLength(2);
});

test('a source that fails while it is sent is told as such and not tried again', async () => {
  const host = await scripted(async (request, response) => {
    request.on('error', () => {});
    if (request.method === 'POST') response.writeHead(202, { location: '/v2/a/b/blobs/uploads/1' }).end();
    else if (request.method === 'HEAD') response.writeHead(404).end();
  });
  const { registry, waits } = patient(host);
  let opened = 0;
  const open = () => {
    opened++;
    return new Readable({ read: (): void => {}, construct: (done) => done(new Error('disk on fire')) });
  };
  await expect(registry.writeBlob('a/b', { digest: sha256('x'), size: 9_000_000, open })).rejects.toMatchObject({
    code: 'registry.failed',
    what: expect.stringContaining('could not be read') as string,
  });
  expect([opened, waits.length]).toEqual([1, 0]);
});

test('a token is fetched with the credentials, used for its scope, and renewed when it has run out', async () => {
  let now = 0;
  let given = 0;
  const asked: string[] = [];
  const host = await scripted((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    if (url.pathname === '/token') {
      asked.push(
        `${request.headers.authorization} ${url.searchParams.get('service')} ${url.searchParams.getAll('scope').join(',')}`,
      );
      response.end(JSON.stringify({ token: `t${++given}`, expires_in: 100 }));
      return;
    }
    const fresh = request.headers.authorization === `Bearer t${given}` && now < 1000 * 100 * given;
    if (fresh) return manifestReply(response);
    const challenge = `Bearer realm="http://${request.headers.host}/token",service="reg, istry",scope="repository:a/b:pull"`;
    response.writeHead(401, { 'www-authenticate': challenge }).end();
  });
  const retry = { now: () => now };
  const registry = createRegistryClient({ host, credentials: async () => basic, retry });
  await Promise.all([registry.manifest('a/b', 'v1'), registry.manifest('a/b', 'v1')]);
  await registry.manifest('a/b', 'v1');
  const header = `Basic ${Buffer.from('robot:canary-secret').toString('base64')}`;
  expect(asked).toEqual([`${header} reg, istry repository:a/b:pull`]);
  now = 95_000; // in the last tenth of the token's life
  await registry.manifest('a/b', 'v1');
  expect(asked).toHaveLength(2);
});

test('an identity token is exchanged for an access token', async () => {
  let form = '';
  const host = await scripted(async (request, response) => {
    if (request.method === 'POST') {
      form = await text(request);
      response.end(JSON.stringify({ access_token: 'access' }));
    } else if (request.headers.authorization === 'Bearer access') manifestReply(response);
    else
      response
        .writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token",service=s` })
        .end();
  });
  const registry = createRegistryClient({ host, credentials: async () => ({ kind: 'identity', token: 'refresh' }) });
  await registry.manifest('a/b', 'v1');
  expect(Object.fromEntries(new URLSearchParams(form))).toMatchObject({
    grant_type: 'refresh_token',
    refresh_token: 'refresh',
    service: 's',
    scope: 'repository:a/b:pull',
  });
});

test('credentials follow no redirect to another host and answer no challenge of one', async () => {
  const seen: (string | undefined)[] = [];
  const other = await scripted((request, response) => {
    seen.push(request.headers.authorization);
    if (request.url === '/blob') {
      response.end('content');
      return;
    }
    response.writeHead(401, { 'www-authenticate': 'Basic realm="give me"' }).end();
  });
  const host = await scripted((request, response) => {
    if (request.headers.authorization === undefined) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="mine"' }).end();
      return;
    }
    const path = request.url?.includes(sha256('content')) ? 'blob' : 'trap';
    response.writeHead(307, { location: `http://${other}/${path}` }).end();
  });
  const { registry } = patient(host, { credentials: async () => basic });
  expect(await text(await registry.readBlob('a/b', sha256('content')))).toBe('content');
  await expect(registry.readBlob('a/b', sha256('trap'))).rejects.toMatchObject({ code: 'registry.unauthorized' });
  expect(seen).toEqual([undefined, undefined]);
});

test('credentials go to no token service of a stranger unless it is trusted', async () => {
  const seen: (string | undefined)[] = [];
  const port = await scripted((request, response) => {
    seen.push(request.headers.authorization);
    response.end('{"token":"t"}');
  });
  const stranger = port.replace('127.0.0.1', 'localhost');
  const host = await scripted((request, response) => {
    if (request.headers.authorization === 'Bearer t') return manifestReply(response);
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${stranger}/token"` }).end();
  });
  const { registry } = patient(host, { credentials: async () => basic });
  await expect(registry.manifest('a/b', 'v1')).rejects.toMatchObject({ code: 'registry.untrusted-redirect' });
  expect(seen).toEqual([]);
  const trusting = patient(host, { credentials: async () => basic, trustedRealms: [stranger] });
  expect((await trusting.registry.manifest('a/b', 'v1'))?.digest).toBe(image.digest);
  const anonymous = patient(host);
  expect((await anonymous.registry.manifest('a/b', 'v1'))?.digest).toBe(image.digest);
  expect(seen.map((header) => header?.split(' ')[0])).toEqual(['Basic', undefined]);
});

test('a list of tags is read page by page and never on another host', async () => {
  let evil = false;
  const host = await scripted((request, response) => {
    const last = new URL(request.url ?? '', 'http://x').searchParams.get('last');
    const next = last === null ? '/v2/a/b/tags/list?n=2&last=b' : null;
    const link = evil ? '<http://elsewhere.test/v2/>; rel="next"' : `<${next}>; rel="next"`;
    response.writeHead(200, next === null ? {} : { link });
    response.end(JSON.stringify({ name: 'a/b', tags: last === null ? ['a', 'b'] : ['c'] }));
  });
  const { registry } = patient(host);
  expect(await registry.tags('a/b')).toEqual(['a', 'b', 'c']);
  evil = true;
  await expect(registry.tags('a/b')).rejects.toMatchObject({ code: 'registry.untrusted-redirect' });
});

test('a host that is not one is refused', () => {
  for (const host of ['', 'a/b', 'user@evil', 'http://x', 'a b', 'x?y']) {
    expect(() => createRegistryClient({ host })).toThrow(/not the host of a registry/);
  }
});
