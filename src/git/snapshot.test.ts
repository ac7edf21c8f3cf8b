import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

import { openLocalSnapshots, openRemoteSnapshots, originOf, type Snapshots } from './snapshot.ts';
import { type Forge, startForge } from './testing/forge.ts';

const run = promisify(execFile);
let forge: Forge;
let directory: string;
let opened: Snapshots[] = [];
let names = 0;

beforeAll(async () => {
  forge = await startForge();
});
afterAll(() => forge.close());
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-snapshot-'));
});
afterEach(async () => {
  for (const one of opened) one.close();
  opened = [];
  await rm(directory, { recursive: true, force: true });
});

const FILES = {
  'a.yaml': 'a: 1\n',
  'folder/b.yaml': 'b: 1\n',
  'folder/large.yaml': '#'.repeat(3000),
  'folder/link.yaml': { link: '../../../../etc/passwd' },
} as const;

async function repository(objectFormat: 'sha1' | 'sha256' = 'sha1') {
  const made = await forge.createRepository(`r${(names += 1)}`, { objectFormat });
  await made.commit({ files: { ...FILES, 'old.yaml': 'gone: 1\n' } });
  await made.commit({ files: { 'old.yaml': null } });
  await made.commit({ branch: 'env/prod', files: { 'c.yaml': 'c: 1\n' } });
  return made;
}

function options(name: string) {
  return { directory: join(directory, name), maxFileBytes: 2000, timeoutMs: 60_000 };
}

async function kept(snapshots: Promise<Snapshots>): Promise<Snapshots> {
  opened.push(await snapshots);
  return snapshots;
}

test.each(['sha1', 'sha256'] as const)('a server and a clone show the same files of a branch (%s)', async (format) => {
  const made = await repository(format);
  const remote = await kept(openRemoteSnapshots({ url: made.url, allow: ['http'] }, options('remote')));
  const local = await kept(openLocalSnapshots(made.directory, options('local')));
  for (const snapshots of [remote, local]) {
    expect(snapshots.branches.toSorted()).toEqual(['env/prod', 'main']);
    expect(snapshots.defaultBranch).toBe('main');
    const main = await snapshots.at('main');
    expect(main.commit).toBe(await made.git('rev-parse', 'main'));
    expect(main.files.map(({ path, bytes }) => [path, bytes])).toEqual([
      ['a.yaml', 5],
      ['folder/b.yaml', 5],
      ['folder/large.yaml', null],
    ]);
    expect(main.leftOut).toEqual({ links: 1, submodules: 0, unreadableNames: 0 });
    const texts = await Promise.all(main.files.slice(0, 2).map(async (file) => (await main.read(file)).toString()));
    expect(texts).toEqual(['a: 1\n', 'b: 1\n']);
    expect((await snapshots.at('env/prod')).files.map(({ path }) => path)).toEqual(['c.yaml']);
  }
});

test('of a server nothing comes that is too large, and no history', async () => {
  const made = await repository();
  const remote = await kept(openRemoteSnapshots({ url: made.url, allow: ['http'] }, options('remote')));
  const main = await remote.at('main');
  const [, , large] = main.files;
  if (large === undefined) throw new Error('There is no large file.');
  await expect(main.read(large)).rejects.toMatchObject({ code: 'git.object-missing' });
  const store = join(directory, 'remote', 'store.git');
  expect((await run('git', [`--git-dir=${store}`, 'rev-list', '--count', main.commit])).stdout.trim()).toBe('1');
});

test('a large file of a clone is not read', async () => {
  const made = await repository();
  const main = await (await kept(openLocalSnapshots(made.directory, options('local')))).at('main');
  const [, , large] = main.files;
  if (large === undefined) throw new Error('There is no large file.');
  await expect(main.read(large)).rejects.toMatchObject({ code: 'git.too-large' });
});

test('a tree that holds itself many times over ends at a limit', async () => {
  const made = await repository();
  const blob = await made.write('blob', Buffer.from('image: a\n'));
  const treeOf = (oid: string, mode: string): Promise<string> =>
    made.write(
      'tree',
      Buffer.concat(
        Array.from({ length: 10 }, (_, at) =>
          Buffer.concat([Buffer.from(`${mode} ${at}${mode === '100644' ? '.yaml' : ''}\0`), Buffer.from(oid, 'hex')]),
        ),
      ),
    );
  let tree = await treeOf(blob, '100644');
  for (let depth = 0; depth < 9; depth++) tree = await treeOf(tree, '40000');
  const head = await made.write(
    'commit',
    Buffer.from(`tree ${tree}\nauthor A <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nbomb\n`),
  );
  await made.git('update-ref', 'refs/heads/bomb', head);
  const remote = await kept(openRemoteSnapshots({ url: made.url, allow: ['http'] }, options('remote')));
  await expect(remote.at('bomb')).rejects.toMatchObject({ code: 'git.too-large' });
  expect((await remote.at('main')).files).toHaveLength(3);
});

test('of a work tree what is committed counts, its settings do not, and nothing of it is touched', async () => {
  const made = await repository();
  const clone = join(directory, 'clone');
  await run('git', ['clone', '--quiet', made.url, clone]);
  await writeFile(join(clone, 'uncommitted.yaml'), 'image: a\n');
  const trap = join(directory, 'trapped');
  await run('git', ['-C', clone, 'config', 'core.fsmonitor', `touch ${trap}`]);
  await run('git', ['-C', clone, 'config', 'core.hooksPath', directory]);
  const before = await readdir(join(clone, '.git'));
  const snapshots = await kept(openLocalSnapshots(clone, options('local')));
  expect((await snapshots.at('main')).files).toHaveLength(3);
  expect((await snapshots.at('env/prod')).files).toHaveLength(1); // of the server's, as it was fetched last
  expect(await readdir(join(clone, '.git'))).toEqual(before);
  expect(await readdir(directory)).not.toContain('trapped');
  expect(await originOf(clone)).toBe(made.url);
  expect(await originOf(made.directory)).toBeNull();
});

test('a folder that is no repository is refused', async () => {
  await expect(openLocalSnapshots(directory, options('local'))).rejects.toMatchObject({ code: 'git.not-found' });
});

test('an empty repository has no branches', async () => {
  const made = await forge.createRepository('empty');
  const remote = await kept(openRemoteSnapshots({ url: made.url, allow: ['http'] }, options('remote')));
  expect(remote.branches).toEqual([]);
  expect((await kept(openLocalSnapshots(made.directory, options('local')))).branches).toEqual([]);
});
