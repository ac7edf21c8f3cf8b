import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';

import { systemClock } from '../../lib/clock.ts';
import type { ClusterAccess } from './access.ts';
import { connectKubernetes, type Kubernetes } from './kubernetes.ts';
import { resourcesOf } from './resources.ts';
import { clusterAccess, connect, newNamespace, saidMissing } from './testing/cluster.ts';

describe.skipIf(saidMissing() !== null)('a real API server', () => {
  let access: ClusterAccess;
  let kubernetes: Kubernetes;
  let namespace: string;
  let maps: string;
  beforeAll(async () => {
    access = await clusterAccess();
    kubernetes = connect(access);
    namespace = await newNamespace(kubernetes);
    maps = `/api/v1/namespaces/${namespace}/configmaps`;
  }, 120_000);
  afterAll(() => kubernetes?.close());
  const mapOf = (name: string, data: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name },
    data,
  });

  test('what is applied twice is there once, and what is not there is null', async () => {
    const apply = () => kubernetes.apply(`${maps}/one`, mapOf('one', { a: '1' }), { manager: 'towpath' });
    const first = await apply();
    expect((await apply()).metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    expect(await kubernetes.get(`${maps}/one`)).toMatchObject({ data: { a: '1' } });
    expect(await kubernetes.get(`${maps}/other`)).toBeNull();
    expect(await kubernetes.list('/apis/no.example/v1/things')).toBeNull();
  });

  test('a field that somebody else manages is a conflict that names both, unless it is forced', async () => {
    await kubernetes.apply(`${maps}/two`, mapOf('two', { a: 'theirs' }), { manager: 'somebody' });
    const ours = mapOf('two', { a: 'ours' });
    await expect(kubernetes.apply(`${maps}/two`, ours, { manager: 'towpath' })).rejects.toMatchObject({
      code: 'kubernetes.conflict',
      refusal: { conflicts: [{ field: '.data.a', message: expect.stringContaining('somebody') as string }] },
    });
    const taken = await kubernetes.apply(`${maps}/two`, ours, { manager: 'towpath', force: true });
    expect(taken).toMatchObject({ data: { a: 'ours' } });
  });

  test('of two that change what they looked at, one comes too late', async () => {
    const made = await kubernetes.create(maps, mapOf('three', { a: '1' }));
    expect(await kubernetes.create(maps, mapOf('three', {}))).toBeNull();
    expect(await kubernetes.replace(`${maps}/three`, { ...made, data: { a: '2' } })).not.toBeNull();
    expect(await kubernetes.replace(`${maps}/three`, { ...made, data: { a: '3' } })).toBeNull();
    expect(await kubernetes.merge(`${maps}/three`, { data: { b: '4' } })).toMatchObject({ data: { a: '2', b: '4' } });
    expect(await kubernetes.merge(`${maps}/gone`, { data: {} })).toBeNull();
    expect(await kubernetes.remove(`${maps}/three`, { uid: 'another' })).toBe(false);
    expect(await kubernetes.remove(`${maps}/three`, { uid: made?.metadata.uid ?? '' })).toBe(true);
    expect(await kubernetes.remove(`${maps}/three`)).toBe(false);
  });

  test('more than one page is listed whole, and labels choose', async () => {
    const names = ['many-0', 'many-1', 'many-2', 'many-3', 'many-4'];
    for (const [number, name] of names.entries()) {
      const { metadata, ...rest } = mapOf(name, {});
      await kubernetes.create(maps, { ...rest, metadata: { ...metadata, labels: { half: String(number % 2) } } });
    }
    const paged = connectKubernetes(access, { environment: {}, clock: systemClock, pageSize: 2 });
    const all = await paged.list(maps);
    expect(all?.map(({ metadata }) => metadata.name)).toEqual(expect.arrayContaining(names));
    expect(await paged.list(maps, { labels: ['half=0'] })).toHaveLength(3);
  });

  test('kinds are found by what manifests call them', async () => {
    const resources = resourcesOf(kubernetes);
    expect((await resources.of('apps/v1', 'Deployment')).path('shop', 'web')).toBe(
      '/apis/apps/v1/namespaces/shop/deployments/web',
    );
    expect((await resources.of('v1', 'Namespace')).path('', 'shop')).toBe('/api/v1/namespaces/shop');
    await expect(resources.of('apps/v1', 'Deploiment')).rejects.toMatchObject({ code: 'kubernetes.unknown-kind' });
    await expect(resources.of('apps/v9', 'Deployment')).rejects.toMatchObject({ code: 'kubernetes.unknown-kind' });
    const pods = await resources.of('v1', 'Pod');
    for (const name of ['..', '.', '', 'a/b', '%2e%2e'])
      expect(() => pods.path('shop', name)).toThrow(/cannot be a name/);
  });

  test('what a user may not do is refused by name, and an unknown one is not let in', async () => {
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'nobody' } };
    await kubernetes.create(`/api/v1/namespaces/${namespace}/serviceaccounts`, account);
    const asked = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
    const token = await tokenOf(access, `/api/v1/namespaces/${namespace}/serviceaccounts/nobody/token`, asked);
    const as = (secret: string) => connect({ ...access, credential: { kind: 'token', token: secret } });
    await expect(as(token).list(maps)).rejects.toMatchObject({
      code: 'kubernetes.forbidden',
      what: expect.stringContaining(`system:serviceaccount:${namespace}:nobody`) as string,
    });
    await expect(as('somebody').list(maps)).rejects.toMatchObject({ code: 'kubernetes.unauthorized' });
  });

  test('who is not of the authority that the kubeconfig names is not spoken to', async () => {
    const { ca: _ours, ...tls } = access.tls;
    await expect(connect({ ...access, tls }).list(maps)).rejects.toMatchObject({ code: 'kubernetes.unreachable' });
  });
});

test('where an answer leads elsewhere nobody follows, and the token does not go there', async () => {
  const elsewhere = await listening((_request, response) => response.end('{}'));
  const here = await listening((_request, response) =>
    response.writeHead(307, { location: `${elsewhere.url}/api` }).end(),
  );
  await expect(connect(accessTo(here.url)).get('/api/v1/nodes/a')).rejects.toMatchObject({ code: 'kubernetes.moved' });
  expect(elsewhere.tokens).toEqual([]);
});

test('an answer without an end is given up', async () => {
  const { url } = await listening((_request, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(1024 * 1024)));
    };
    response.on('drain', more);
    more();
  });
  await expect(connect(accessTo(url)).get('/api/v1/nodes/a')).rejects.toMatchObject({ code: 'kubernetes.too-large' });
});

test('a list without an end is given up, and what is not the API is told as such', async () => {
  const endless = await listening((_request, response) =>
    response.end('{ "metadata": { "continue": "more" }, "items": [] }'),
  );
  await expect(connect(accessTo(endless.url)).list('/api/v1/nodes')).rejects.toMatchObject({
    code: 'kubernetes.too-large',
  });
  const page = await listening((_request, response) => response.end('<html>Who are you?</html>'));
  for (const ask of [(one: Kubernetes) => one.get('/api/v1/nodes/a'), (one: Kubernetes) => one.list('/api/v1/nodes')])
    await expect(ask(connect(accessTo(page.url)))).rejects.toMatchObject({ code: 'kubernetes.not-api' });
});

test('a server that has too much to do is asked again, and one that is not there is told as such', async () => {
  let asked = 0;
  const { url } = await listening((_request, response) => {
    if ((asked += 1) < 3) response.writeHead(429, { 'retry-after': '0' }).end();
    else response.end(JSON.stringify({ metadata: { name: 'a', uid: '1', resourceVersion: '1' } }));
  });
  expect((await connect(accessTo(url)).get('/api/v1/nodes/a'))?.metadata.name).toBe('a');
  expect(asked).toBe(3);
  await expect(connect(accessTo('http://127.0.0.1:9')).get('/api/v1/nodes/a')).rejects.toMatchObject({
    code: 'kubernetes.unreachable',
  });
});

test('a token of a program is kept until it ends, and asked for anew when the cluster does not take it', async () => {
  const revoked = new Set<string>();
  const { url, tokens } = await listening((request, response) => {
    if (revoked.has(request.headers.authorization ?? '')) response.writeHead(401).end();
    else response.end(JSON.stringify({ metadata: { name: 'a', uid: '1', resourceVersion: '1' } }));
  });
  let now = Date.parse('2026-01-01T00:00:00Z');
  const script = `const { spec } = JSON.parse(process.env.KUBERNETES_EXEC_INFO);
    const { GIVEN, TOWPATH_X } = process.env;
    const token = [process.hrtime.bigint(), process.argv[1], spec.interactive, GIVEN, TOWPATH_X].join(' ');
    const status = { token, expirationTimestamp: new Date(Number(process.argv[2])).toISOString() };
    process.stdout.write(JSON.stringify({ kind: 'ExecCredential', status }));`;
  const program = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: process.execPath,
    args: ['-e', script, 'argument', String(now + 600_000)],
    env: { GIVEN: 'given' },
    cluster: null,
  };
  const kubernetes = connectKubernetes(
    { ...accessTo(url), credential: { kind: 'program', program } },
    { environment: { TOWPATH_X: 'for us alone' }, clock: { ...systemClock, now: () => now } },
  );
  const ask = async (): Promise<string> => {
    await kubernetes.get('/api/v1/nodes/a');
    return tokens.at(-1) ?? '';
  };
  const first = await ask();
  expect(first).toMatch(/^Bearer \d+ argument false given$/);
  expect(await ask()).toBe(first);
  revoked.add(first);
  const second = await ask();
  expect(second).not.toBe(first);
  expect(await ask()).toBe(second);
  now += 590_000; // it ends while a call may be on its way
  expect(await ask()).not.toBe(second);
});

test('a program that gives no token is named, and what it printed is not told', async () => {
  const program = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: process.execPath,
    args: ['-e', 'console.log("hunter2"); process.exit(7)'],
    env: {},
    cluster: null,
  };
  const access: ClusterAccess = { ...accessTo('http://127.0.0.1:9'), credential: { kind: 'program', program } };
  await expect(connect(access).get('/api')).rejects.toMatchObject({
    code: 'kubernetes.credential',
    what: expect.not.stringContaining('hunter2') as string,
  });
});

function accessTo(server: string): ClusterAccess {
  return { server, namespace: null, tls: {}, credential: { kind: 'token', token: 'a-token' } };
}

async function listening(answer: RequestListener) {
  const tokens: string[] = [];
  const server = createServer((request, response) => {
    tokens.push(request.headers.authorization ?? '');
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, tokens };
}

/** A TokenRequest is no object with a name and a version, so the client has no word for it. */
async function tokenOf(access: ClusterAccess, path: string, body: unknown): Promise<string> {
  const { Agent, request } = await import('undici');
  const { credential } = access;
  const answer = await request(`${access.server}${path}`, {
    method: 'POST',
    dispatcher: new Agent({ connect: { ...access.tls } }),
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${credential.kind === 'token' ? credential.token : ''}`,
    },
    body: JSON.stringify(body),
  });
  return ((await answer.body.json()) as { status: { token: string } }).status.token;
}
