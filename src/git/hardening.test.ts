import { chmod, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from 'vitest';

import { bundle, startProgram } from '../store/testing/program.ts';
import { authorizationOf } from './credential.ts';
import { gitEnvironment } from './environment.ts';
import { cleanMessage } from './git-error.ts';
import { git } from './git.ts';
import { listRefs } from './ls-refs.ts';
import { openMirror, type Mirror } from './mirror.ts';
import { parseRemoteUrl, type Remote } from './remote.ts';
import { startForge, type Forge } from './testing/forge.ts';

let forge: Forge;
beforeAll(async () => {
  forge = await startForge();
});
afterEach(() => {
  forge.answer = undefined;
  vi.unstubAllEnvs();
});
afterAll(() => forge.close());

test('a branch that is named like an option is a branch and nothing else', async () => {
  const repository = await forge.createRepository('options');
  const directory = await temporary();
  const trap = join(directory, 'trapped');
  const name = `refs/heads/--upload-pack=touch\${IFS}${trap}`;
  const head = await repository.commit({ files: { a: '1' } });
  await repository.git('update-ref', name, head);
  await repository.git('update-ref', 'refs/heads/-oProxyCommand=x', head);
  const mirror = await mirrorOf({ url: repository.url });
  await mirror.fetch();
  await mirror.maintain();
  expect((await mirror.refs()).map((ref) => ref.name)).toEqual([
    name,
    'refs/heads/-oProxyCommand=x',
    'refs/heads/main',
  ]);
  const listing = await listRefs({ url: `file://${repository.directory}`, allow: ['file'] });
  expect(listing.kind === 'listed' && listing.refs).toHaveLength(3);
  await expect(stat(trap)).rejects.toThrow('ENOENT');
});

test.each([
  '--upload-pack=touch /tmp/x',
  '-x',
  'ext::sh -c touch% /tmp/x',
  'ext::sh',
  'fd::7',
  'ssh://-oProxyCommand=touch/x',
  'ssh://%2doProxyCommand=touch@host/x',
  '-oProxyCommand=x@host:path',
  'git@host:-x',
  'ssh://git%0a@host/x',
  'ssh://git@ho;st/x',
  'ssh://git:canary@host/x',
  'https://user:canary@host/x.git',
  'https://user@host/x.git',
  'https://host/x.git?service=y',
  'https://host/x.git#main',
  'https://host',
  'https:///x',
  'https://host/a%0ab',
  'https://host/a\nb',
  'https://host/\u001b[31m',
  'http://host/x.git',
  'file:///etc',
  '/etc',
  '../x',
  'git://host/x',
  'javascript:alert(1)',
  '',
])('the URL %j is refused before git sees it, and its words are not repeated', (url) => {
  let refusal: unknown;
  try {
    parseRemoteUrl(url);
  } catch (error) {
    refusal = error;
  }
  expect(refusal).toMatchObject({ code: 'git.url-refused' });
  expect(String(refusal)).not.toContain('canary');
});

test.each([
  ['https://host/team/shop.git', 'https', 'https://host/team/shop.git'],
  ['https://host:8443/team/shop/', 'https', 'https://host:8443/team/shop'],
  ['ssh://git@host:2222/team/shop.git', 'ssh', 'ssh://git@host:2222/team/shop.git'],
  ['git@host:team/shop.git', 'ssh', 'git@host:team/shop.git'],
])('the URL %s is taken', (url, scheme, href) => {
  expect(parseRemoteUrl(url)).toEqual({ scheme, href });
});

test('nothing of the environment of the process reaches git', async () => {
  for (const name of ['GIT_DIR', 'GIT_INDEX_FILE', 'GIT_SSH', 'GIT_PROXY_COMMAND', 'GIT_EXTERNAL_DIFF', 'CANARY'])
    vi.stubEnv(name, 'canary');
  const environment = gitEnvironment({ directories: [] });
  expect(JSON.stringify(environment)).not.toContain('canary');
  const { stdout } = await git(['config', '--list', '--show-scope', '--name-only'], { directories: [] });
  expect(
    stdout
      .toString()
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('command')),
  ).toEqual([]);
});

test('reading a mirror can reach no network, whatever its settings say', async () => {
  const repository = await forge.createRepository('offline');
  const head = await repository.commit({ files: { a: '1' } });
  const { directory, ...mirror } = await mirrorOf({ url: repository.url });
  await mirror.fetch();
  const [entry] = await mirror.tree(head, '');
  const before = forge.requests.length;
  expect(await mirror.has(entry?.oid ?? '')).toBe(false);
  for (const gitDir of [join(directory, 'store.git'), join(directory, 'view.git')]) {
    const place = { gitDir, directories: [gitDir] };
    await expect(git(['fetch', '--end-of-options', repository.url], place)).rejects.toMatchObject({
      code: 'git.url-refused',
    });
  }
  expect(forge.requests.length).toBe(before);
});

test('a token is in no argument list, no file of the mirror, and no error', async () => {
  const credential = { kind: 'basic', username: 'towpath', password: 'canary-5b1d' } as const;
  const locked = await startForge({ authorization: authorizationOf(credential) ?? '' });
  onTestFinished(() => locked.close());
  const repository = await locked.createRepository('secret');
  const head = await repository.commit({ files: { a: '1' } });
  const log = await recordArguments();
  const { directory, ...mirror } = await mirrorOf({
    url: repository.url,
    credential: () => Promise.resolve(credential),
  });
  await mirror.fetch();
  expect((await mirror.file(head, 'a'))?.toString()).toBe('1');

  const secrets = [credential.password, authorizationOf(credential)?.slice('Basic '.length) ?? ''];
  const texts = [await readFile(log, 'latin1')];
  expect(texts[0]).toContain('fetch');
  for (const file of await readdir(directory, { recursive: true, withFileTypes: true }))
    if (file.isFile()) texts.push(await readFile(join(file.parentPath, file.name), 'latin1'));
  const wrong = await mirrorOf({
    url: repository.url,
    credential: () => Promise.resolve({ ...credential, password: 'canary-wrong' }),
  });
  const refusal: unknown = await wrong.fetch().catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: 'git.denied' });
  texts.push(String(refusal), JSON.stringify(refusal));
  for (const text of texts) for (const secret of [...secrets, 'canary']) expect(text).not.toContain(secret);
});

test('a redirect is not followed: a credential would go along', async () => {
  const repository = await forge.createRepository('redirect');
  await repository.commit({ files: { a: '1' } });
  forge.answer = (request) =>
    request.url?.startsWith('/moved.git') === true
      ? { status: 302, headers: { location: `${forge.url}${request.url.replace('moved', 'redirect')}` } }
      : undefined;
  const before = forge.requests.length;
  const mirror = await mirrorOf({ url: `${forge.url}/moved.git` });
  await expect(mirror.fetch()).rejects.toMatchObject({ code: expect.stringMatching(/^git\./) });
  expect(forge.requests.slice(before).join()).not.toContain('redirect.git');
});

test.each([
  ['hides a .git folder', ['100644 .git']],
  ['has a link and a folder of one name', ['120000 a', '40000 a']],
  ['has one name twice', ['100644 a', '100644 a']],
  ['leads upwards', ['40000 ..']],
  ['has a path for a name', ['100644 a/../../x']],
])('a tree that %s is refused when it arrives', async (_, entries) => {
  const repository = await forge.createRepository(`evil-tree-${Math.random()}`);
  const good = await repository.commit({ files: { a: '1' } });
  const ids = { blob: await repository.git('rev-parse', 'main:a'), tree: await repository.git('rev-parse', 'main:') };
  const parts = entries.map((entry) =>
    Buffer.concat([Buffer.from(`${entry}\0`), Buffer.from(entry.startsWith('4') ? ids.tree : ids.blob, 'hex')]),
  );
  const tree = await repository.write('tree', Buffer.concat(parts));
  const evil = await repository.git('commit-tree', '-m', 'evil', tree);
  await repository.git('update-ref', 'refs/heads/evil', evil);
  const mirror = await mirrorOf({ url: repository.url });
  await expect(mirror.fetch()).rejects.toMatchObject({ code: 'git.unsafe-object' });
  await expect(mirror.ensure(evil)).rejects.toMatchObject({ code: 'git.unsafe-object' });
  await mirror.ensure(good); // the other branches go on
  expect((await mirror.file(good, 'a'))?.toString()).toBe('1');
});

test('over ssh the key and the known hosts are given, nothing is asked, and the agent of a person is not used', async () => {
  const repository = await forge.createRepository('by ssh');
  const head = await repository.commit({ files: { a: '1' } });
  await repository.git('tag', '-a', '-m', 'one', 'v1', head);
  vi.stubEnv('SSH_AUTH_SOCK', '/tmp/canary');
  const log = await fakeSsh();
  const remote = {
    url: `ssh://git@forge.example:2222${repository.directory.replaceAll(' ', '%20')}`,
    credential: () =>
      Promise.resolve({ kind: 'ssh', keyFile: "/keys/it's a 100% key", knownHostsFile: '/keys/known hosts' } as const),
  };
  expect(await listRefs(remote)).toMatchObject({
    defaultBranch: 'refs/heads/main',
    refs: [
      { name: 'refs/heads/main', commit: head },
      { name: 'refs/tags/v1', commit: head },
    ],
  });
  const directory = await temporary();
  const mirror = await openMirror({ ...remote, directory });
  onTestFinished(() => mirror.close());
  await mirror.fetch();
  expect((await mirror.file(head, 'a'))?.toString()).toBe('1');
  const said = await readFile(log, 'utf8');
  for (const word of [
    '<-oStrictHostKeyChecking=yes>',
    '<-oBatchMode=yes>',
    '<-oUserKnownHostsFile="/keys/known hosts">',
    `<-oIdentityFile="/keys/it's a 100%% key">`,
    '<-p><2222><git@forge.example>',
  ])
    expect(said).toContain(word);
  expect(said).not.toContain('canary');
});

test('a lock file that a dead git left behind is removed when it is old, and respected when it is young', async () => {
  const repository = await forge.createRepository('leftover');
  await repository.commit({ files: { a: '1' } });
  const { directory, ...mirror } = await mirrorOf({ url: repository.url });
  await mirror.fetch();
  const second = await repository.commit({ files: { a: '2' } });
  const lock = join(directory, 'store.git/refs/heads/main.lock');
  await writeFile(lock, '');
  await expect(mirror.fetch()).rejects.toMatchObject({ code: 'git.locked' });
  await utimes(lock, new Date(Date.now() - 61_000), new Date(Date.now() - 61_000));
  await mirror.fetch();
  expect(await mirror.refs()).toMatchObject([{ commit: second }]);
});

test('names with newlines, quotes and what looks like protocol are names', async () => {
  const repository = await forge.createRepository('names');
  const names = [
    'new\nline',
    `x\n${'1'.repeat(40)} blob 3\nabc`,
    'quo"te',
    String.raw`back\slash`,
    '-dash',
    ':(glob)**',
    'tab\there',
    ' blank ',
    '\u00fcml\u00e4ut/\u{1f600}',
    '#hash',
    '$(touch x)',
  ];
  const head = await repository.commit({ files: Object.fromEntries(names.map((name) => [`d/${name}`, name])) });
  const mirror = await mirrorOf({ url: repository.url });
  await mirror.fetch();
  expect((await mirror.tree(head, 'd')).map(({ path }) => path).sort()).toEqual(names.toSorted());
  for (const name of names) expect((await mirror.file(head, `d/${name}`))?.toString()).toBe(name);
  expect(await mirror.file(head, 'd/none\nnone')).toBeNull();
  for (const path of ['..', 'd/../d/-dash', '/d/-dash', 'd//-dash', 'd/', '.'])
    expect(await mirror.entry(head, path)).toBeNull();
  expect((await mirror.log({ to: head, paths: ['d/:(glob)**'], limit: 5 })).length).toBe(1);
});

test('a name that is not UTF-8 stops only what would hold it', async () => {
  const repository = await forge.createRepository('latin1');
  await repository.commit({ files: { 'web/a': '1' } });
  const blob = await repository.git('rev-parse', 'main:web/a');
  const odd = await repository.write(
    'tree',
    Buffer.concat([Buffer.from('100644 caf\u00e9\0', 'latin1'), Buffer.from(blob, 'hex')]),
  );
  const web = await repository.git('rev-parse', 'main:web');
  const root = Buffer.concat([
    Buffer.from('40000 odd\0'),
    Buffer.from(odd, 'hex'),
    Buffer.from('40000 web\0'),
    Buffer.from(web, 'hex'),
  ]);
  const head = await repository.git('commit-tree', '-m', 'odd', await repository.write('tree', root));
  await repository.git('update-ref', 'refs/heads/main', head);
  const mirror = await mirrorOf({ url: repository.url });
  await mirror.fetch();
  expect((await mirror.tree(head, 'web')).map(({ path }) => path)).toEqual(['a']);
  await expect(mirror.tree(head, 'odd')).rejects.toMatchObject({ code: 'git.name-not-utf8' });
});

test('a blob that is too large is refused, and the next one is read', async () => {
  const repository = await forge.createRepository('large');
  const head = await repository.commit({ files: { large: 'x'.repeat(3_000_000), small: 'y' } });
  const mirror = await mirrorOf({ url: repository.url });
  await mirror.fetch();
  await mirror.prefetch((await mirror.tree(head, '')).map(({ oid }) => oid));
  const [large, small] = await Promise.allSettled([mirror.file(head, 'large', 1000), mirror.file(head, 'small', 1000)]);
  expect(large).toMatchObject({ status: 'rejected', reason: { code: 'git.too-large' } });
  expect(small).toMatchObject({ status: 'fulfilled' });
  expect((await mirror.file(head, 'large'))?.length).toBe(3_000_000);
});

test('what a server says is shown without terminal sequences', async () => {
  const line = 'ERR \u001b[31mred\u001b]0;title\u0007 https://user:canary@host/x denied\u202e';
  const repository = await forge.createRepository('loud');
  forge.answer = () => ({
    status: 200,
    headers: { 'content-type': 'application/x-git-upload-pack-advertisement' },
    body: `001e# service=git-upload-pack\n0000${(Buffer.byteLength(line) + 4).toString(16).padStart(4, '0')}${line}`,
  });
  const said = String(await listRefs({ url: repository.url, allow: ['http'] }).catch((error: unknown) => error));
  expect(said).toContain('https://host/x denied');
  // eslint-disable-next-line no-control-regex -- control characters are what must not be there
  expect(said).not.toMatch(/[\u0000-\u001f\u202e]|canary/);
});

test('terminal sequences, and what stands before the host of a URL, are taken out of messages', () => {
  const message =
    'remote: \u001b[1;31mno\u001b[0m \u001b]8;;http://evil\u001b\\link\u001b]8;;\u0007 https://u:canary@host/x\r\nAuthorization: Basic Y2FuYXJ5\u0000';
  expect(cleanMessage(message)).toBe('remote: no link https://host/x\nAuthorization: Basic ***');
});

test('a server that never answers is left when the time is over, with every process that asked it', async () => {
  const sockets = new Set<unknown>();
  const silent = createServer(() => undefined).on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
  });
  await new Promise<void>((resolve) => {
    silent.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => void silent.close());
  const address = silent.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/x.git`;
  const mirror = await mirrorOf({ url }, { fetchTimeoutMs: 1_000 });
  await expect(mirror.fetch()).rejects.toMatchObject({ code: 'git.timeout' });
  await vi.waitFor(() => expect(sockets.size).toBe(0), 30_000);
  const end = new AbortController();
  const patient = (await mirrorOf({ url })).fetch(end.signal);
  await vi.waitFor(() => expect(sockets.size).toBe(1), 30_000);
  end.abort();
  await expect(patient).rejects.toMatchObject({ code: 'git.cancelled' });
  await vi.waitFor(() => expect(sockets.size).toBe(0), 30_000);
});

test('four processes that make and fetch one mirror at once all succeed', async () => {
  const repository = await forge.createRepository('crowd');
  const head = await repository.commit({ files: { a: '1' } });
  await repository.packRefs(Array.from({ length: 200 }, (_, i) => `${head} refs/heads/b${i}`));
  const directory = await temporary();
  const program = await bundle(fileURLToPath(new URL('testing/fetch-program.ts', import.meta.url)));
  const processes = Array.from({ length: 4 }, () => startProgram(program, ['fetch', repository.url, directory]));
  await Promise.all(processes.map((each) => each.line((line) => line === 'ready')));
  for (const each of processes) each.stdin.write('go\n');
  await Promise.all(processes.map((each) => each.line((line) => line === 'refs 201')));
  await Promise.all(processes.map((each) => each.ended));
  expect((await readdir(directory)).sort()).toEqual(['store.git', 'view.git']);
});

test('a process that is killed while it fetches leaves a mirror that the next one completes', async () => {
  const repository = await forge.createRepository('killed');
  const head = await repository.commit({ files: { a: '1' } });
  const directory = await temporary();
  const program = await bundle(fileURLToPath(new URL('testing/fetch-program.ts', import.meta.url)));
  const victim = startProgram(program, ['fetch', repository.url, directory]);
  await victim.line((line) => line === 'ready');
  const reached = new Promise<void>((resolve) => {
    forge.answer = (request) => {
      if (request.method === 'POST') resolve();
      return undefined;
    };
  });
  victim.stdin.write('go\n');
  await reached;
  victim.kill('SIGKILL');
  await victim.ended;
  forge.answer = undefined;
  const mirror = await openMirror({ url: repository.url, directory, allow: ['http'] });
  onTestFinished(() => mirror.close());
  await mirror.fetch();
  expect((await mirror.file(head, 'a'))?.toString()).toBe('1');
});

test('ten thousand refs are mirrored, and a fetch without news is quick', async () => {
  const repository = await forge.createRepository('many');
  const head = await repository.commit({ files: { a: '1' } });
  await repository.packRefs(Array.from({ length: 10_000 }, (_, i) => `${head} refs/tags/t${i}`));
  const mirror = await mirrorOf({ url: repository.url });
  await mirror.fetch();
  await mirror.fetch();
  expect(await mirror.refs()).toHaveLength(10_001);
});

/** Puts a `git` before the real one that writes its arguments down. */
async function recordArguments(): Promise<string> {
  const directory = await temporary();
  const log = join(directory, 'arguments');
  const path = process.env['PATH'] ?? '';
  const shim = `#!/bin/sh\nprintf '%s ' "$@" >> '${log}'\nPATH='${path}' exec git "$@"\n`;
  await writeFile(join(directory, 'git'), shim);
  await chmod(join(directory, 'git'), 0o755);
  vi.stubEnv('PATH', `${directory}:${path}`);
  return log;
}

/** An `ssh` that writes its arguments and environment down and runs the command on this machine. */
async function fakeSsh(): Promise<string> {
  const directory = await temporary();
  const log = join(directory, 'log');
  const script = `#!/bin/sh
{ for word in "$@"; do printf '<%s>' "$word"; done; env; } >> '${log}'
for command in "$@"; do :; done
case "$command" in git-upload-pack*) eval "$command" ;; *) exit 1 ;; esac
`;
  await writeFile(join(directory, 'ssh'), script);
  await chmod(join(directory, 'ssh'), 0o755);
  vi.stubEnv('PATH', `${directory}:${process.env['PATH'] ?? ''}`);
  return log;
}

async function mirrorOf(
  remote: Pick<Remote, 'url' | 'credential'>,
  limits: { fetchTimeoutMs?: number } = {},
): Promise<Mirror & { directory: string }> {
  const directory = await temporary();
  const mirror = await openMirror({ ...remote, ...limits, directory, allow: ['http'] });
  onTestFinished(() => mirror.close());
  return { ...mirror, directory };
}

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-git-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
