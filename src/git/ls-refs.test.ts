import { createServer } from 'node:http';

import { Agent } from 'undici';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';

import { authorizationOf } from './credential.ts';
import { listRefs } from './ls-refs.ts';
import { startForge, type Forge, type ForgeRepository } from './testing/forge.ts';

const allow = ['http', 'file'] as const;
const credential = { kind: 'basic', username: 'towpath', password: 'canary-7f3a' } as const;
let forge: Forge;
beforeAll(async () => {
  forge = await startForge();
});
afterEach(() => {
  forge.answer = undefined;
});
afterAll(() => forge.close());

test('branches, annotated and light tags and the default branch are listed in one request', async () => {
  const repository = await repositoryWithTags('listing');
  const before = forge.requests.length;
  const listing = await listRefs({ url: repository.url, allow });
  expect(forge.requests.slice(before)).toEqual(['POST /listing.git/git-upload-pack version=2']);
  expect(listing).toMatchObject({
    kind: 'listed',
    defaultBranch: 'refs/heads/main',
    refs: await refsByGit(repository),
  });
});

test('the process and the native listing agree to the byte', async () => {
  const repository = await repositoryWithTags('agreement');
  const native = await listRefs({ url: repository.url, allow });
  const spawned = await listRefs({ url: `file://${repository.directory}`, allow });
  expect(spawned).toEqual(native);
});

test('of one ref that is asked for the others are not sent, and the process may list them', async () => {
  const repository = await repositoryWithTags('one-of-many');
  const only = 'refs/heads/main';
  const native = await listRefs({ url: repository.url, allow }, { only });
  const spawned = await listRefs({ url: `file://${repository.directory}`, allow }, { only });
  expect(native).toMatchObject({ refs: [{ name: only }], defaultBranch: null });
  expect(spawned).toMatchObject({ refs: expect.arrayContaining([expect.objectContaining({ name: only })]) });
  expect(await listRefs({ url: repository.url, allow }, { only: 'refs/heads/none' })).toMatchObject({ refs: [] });
});

test('an unchanged repository is known by its hash, a changed one is listed anew', async () => {
  const repository = await repositoryWithTags('hash');
  const { hash } = await listRefs({ url: repository.url, allow });
  expect(await listRefs({ url: repository.url, allow }, { known: hash })).toEqual({ kind: 'unchanged', hash });
  await repository.commit({ files: { b: '1' } });
  expect(await listRefs({ url: repository.url, allow }, { known: hash })).toMatchObject({ kind: 'listed' });
});

test('an empty repository lists nothing, and refs outside branches and tags are left out', async () => {
  const repository = await forge.createRepository('bare');
  expect(await listRefs({ url: repository.url, allow })).toMatchObject({ refs: [], defaultBranch: null });
  const head = await repository.commit({ files: { a: '1' }, branch: 'feature/x' });
  await repository.git('update-ref', 'refs/pull/1/head', head);
  expect(await listRefs({ url: repository.url, allow })).toMatchObject({
    refs: [{ name: 'refs/heads/feature/x' }],
    defaultBranch: null,
  });
});

test('a sha256 repository is listed too', async () => {
  const repository = await forge.createRepository('long', { objectFormat: 'sha256' });
  const head = await repository.commit({ files: { a: '1' } });
  expect(await listRefs({ url: repository.url, allow })).toMatchObject({ refs: [{ commit: head }] });
});

test('the credential travels in a header, is asked for each time, and a refusal does not repeat it', async () => {
  const locked = await startForge({ authorization: authorizationOf(credential) ?? '' });
  onTestFinished(() => locked.close());
  const repository = await locked.createRepository('secret');
  await repository.commit({ files: { a: '1' } });
  let asked = 0;
  const remote = { url: repository.url, allow, credential: async () => (asked++, credential) };
  await listRefs(remote);
  await listRefs(remote);
  expect(asked).toBe(2);
  const failure = await listRefs({
    ...remote,
    credential: async () => ({ ...credential, password: 'canary-0000' }),
  }).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'git.denied' });
  expect(String(failure)).not.toContain('canary');
  expect(locked.requests.join()).not.toContain('canary');
});

test.each([
  [{ status: 301, headers: { location: 'https://evil.example/x.git' } }, { code: 'git.moved' }],
  [{ status: 403 }, { code: 'git.denied' }],
  [{ status: 404 }, { code: 'git.not-found' }],
  [
    { status: 429, headers: { 'retry-after': '120' } },
    { code: 'git.busy', retryAfterMs: 120_000 },
  ],
  [
    { status: 403, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '90' } },
    { code: 'git.busy', retryAfterMs: 90_000 },
  ],
  [{ status: 503 }, { code: 'git.busy' }],
  [{ status: 500 }, { code: 'git.unreachable' }],
  [result('0012not a listing\n0000'), { code: 'git.protocol' }],
  [result('garbage'), { code: 'git.protocol' }],
  [result(`0035${'1'.repeat(40)} refs/h`), { code: 'git.protocol' }],
  [result(`003c${'1'.repeat(40)} refs/heads/mai`), { code: 'git.protocol' }],
  [result(`003d${'1'.repeat(40)} refs/heads/main\n`), { code: 'git.protocol' }],
])('what a server answers amiss is named: %o', async (answer, problem) => {
  const repository = await forge.createRepository(`amiss-${Math.random()}`);
  forge.answer = () => answer;
  await expect(listRefs({ url: repository.url, allow })).rejects.toMatchObject(problem);
});

test('a server that takes too long is told as such', async () => {
  const repository = await forge.createRepository('slow');
  forge.api = () => true; // and never answers
  const asked = listRefs({ url: repository.url, allow }, { timeoutMs: 50 });
  await expect(asked).rejects.toMatchObject({ code: 'git.timeout', what: expect.stringContaining('0.05 s') as string });
  forge.api = undefined;
});

test.each([
  ['asked of the server', ['http'] as const],
  ['asked by the program', ['file'] as const],
])('heads of pull requests are listed when that is wanted, and not else: %s', async (_, allow) => {
  const repository = await forge.createRepository(`pulls-${allow[0]}`);
  const commit = await repository.commit({ files: { a: '1' } });
  for (const ref of ['refs/pull/7/head', 'refs/pull/7/merge', 'refs/pull/8/head', 'refs/merge-requests/1/head'])
    await repository.git('update-ref', ref, commit);
  const url = allow[0] === 'file' ? `file://${repository.directory}` : repository.url;
  const names = async (pulls?: string) => {
    const listing = await listRefs({ url, allow }, { pulls });
    return listing.kind === 'listed' ? listing.refs.map(({ name }) => name) : [];
  };
  expect(await names()).toEqual(['refs/heads/main']);
  expect(await names('refs/pull/')).toEqual(['refs/heads/main', 'refs/pull/7/head', 'refs/pull/8/head']);
  expect(await names('refs/merge-requests/')).toEqual(['refs/heads/main', 'refs/merge-requests/1/head']);
});

test('names that git itself would refuse are left out', async () => {
  const repository = await forge.createRepository('names');
  const oid = '1'.repeat(40);
  const names = [
    'refs/heads/ok',
    'refs/heads/--upload-pack=touch',
    'refs/heads/a..b',
    'refs/heads/\u001b[31m',
    'refs/heads/.x',
    'refs/heads/a.lock',
    'refs/heads/',
    'refs/x',
  ];
  forge.answer = () => result(`${names.map((name) => packet(`${oid} ${name}\n`)).join('')}0000`);
  expect(await listRefs({ url: repository.url, allow })).toMatchObject({
    refs: [{ name: 'refs/heads/ok' }, { name: 'refs/heads/--upload-pack=touch' }],
  });
});

test('ten thousand refs are listed, and a limit on their number holds', async () => {
  const repository = await forge.createRepository('many');
  const oid = '1'.repeat(40);
  const body = `${Array.from({ length: 10_000 }, (_, i) => packet(`${oid} refs/heads/b${i}\n`)).join('')}0000`;
  forge.answer = () => result(body);
  const listing = await listRefs({ url: repository.url, allow });
  expect(listing.kind === 'listed' && listing.refs.length).toBe(10_000);
  await expect(listRefs({ url: repository.url, allow }, { maxRefs: 9_999 })).rejects.toMatchObject({
    code: 'git.too-many-refs',
  });
});

test('a kept connection that the server closed is no failure', async () => {
  const body = '0000';
  let sockets = 0;
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' }).end(body);
  }).on('connection', () => (sockets += 1));
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const dispatcher = new Agent({ connections: 1 });
  onTestFinished(async () => {
    await dispatcher.close();
    server.close();
  });
  const address = server.address();
  const remote = { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/x.git`, allow };
  await listRefs(remote, { dispatcher });
  await listRefs(remote, { dispatcher });
  expect(sockets).toBe(1);
  server.closeAllConnections();
  await listRefs(remote, { dispatcher });
  expect(sockets).toBe(2);
});

test('a server that is not there, and a cancelled listing, are named', async () => {
  await expect(listRefs({ url: 'http://127.0.0.1:1/x.git', allow })).rejects.toMatchObject({ code: 'git.unreachable' });
  await expect(
    listRefs({ url: 'http://127.0.0.1:1/x.git', allow }, { signal: AbortSignal.abort() }),
  ).rejects.toMatchObject({ code: 'git.cancelled' });
});

async function repositoryWithTags(name: string): Promise<ForgeRepository> {
  const repository = await forge.createRepository(name);
  const head = await repository.commit({ files: { a: '1' } });
  await repository.commit({ branch: 'feature/a', from: 'main', files: { b: '1' } });
  await repository.git('tag', 'rc-1', head);
  await repository.git('tag', '-a', '-m', 'one', 'v1.0.0', head);
  await repository.git('tag', '-a', '-m', 'tag of a tag', 'v1.0.1', 'v1.0.0');
  return repository;
}

async function refsByGit(repository: ForgeRepository): Promise<unknown[]> {
  const listed = await repository.git('for-each-ref', '--format=%(refname) %(objectname)');
  return Promise.all(
    listed.split('\n').map(async (line) => {
      const [name = '', oid] = line.split(' ');
      return { name, oid, commit: await repository.git('rev-parse', `${name}^{commit}`) };
    }),
  );
}

function result(body: string): { status: number; headers: Record<string, string>; body: string } {
  return { status: 200, headers: { 'content-type': 'application/x-git-upload-pack-result' }, body };
}

function packet(line: string): string {
  return (Buffer.byteLength(line) + 4).toString(16).padStart(4, '0') + line;
}
