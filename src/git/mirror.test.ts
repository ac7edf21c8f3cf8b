import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';

import type { MirrorLimits } from './mirror-fetch.ts';
import { openMirror, type Mirror } from './mirror.ts';
import type { Remote } from './remote.ts';
import { startForge, type Forge } from './testing/forge.ts';

let forge: Forge;
beforeAll(async () => {
  forge = await startForge();
});
afterAll(() => forge.close());

test('a commit is read without a work tree: message, parents, tree, files', async () => {
  const repository = await forge.createRepository('read');
  const first = await repository.commit({ files: { 'README.md': 'hello\n', 'services/web/server.js': '1' } });
  const second = await repository.commit({
    files: { 'services/web/run.sh': { run: '#!/bin/sh\n' }, 'services/web/link': { link: '/etc/passwd' } },
    message: 'web: a script\nand its second line\n\nThe reason.',
    atSeconds: 1_760_000_100,
  });
  const mirror = await mirrorOf(repository);
  await mirror.fetch();

  expect(await mirror.refs()).toEqual([{ name: 'refs/heads/main', oid: second, commit: second }]);
  expect(await mirror.commit(second)).toEqual({
    sha: second,
    tree: await repository.git('rev-parse', `${second}^{tree}`),
    parents: [first],
    authorName: 'Ada Example',
    authorEmail: 'ada@example.com',
    committerName: 'Ada Example',
    committerEmail: 'ada@example.com',
    committedAtMs: 1_760_000_100_000,
    subject: 'web: a script and its second line',
  });
  expect((await mirror.tree(second, 'services/web')).map(({ mode, path }) => `${mode} ${path}`)).toEqual([
    '120000 link',
    '100755 run.sh',
    '100644 server.js',
  ]);
  expect(await mirror.entry(second, 'services/web')).toMatchObject({
    mode: '040000',
    oid: await repository.git('rev-parse', `${second}:services/web`),
  });
  expect(await mirror.entry(second, 'services/none')).toBeNull();
  expect(await mirror.entry(second, 'README.md/below')).toBeNull();
  expect((await mirror.entry(second, ''))?.oid).toBe(await repository.git('rev-parse', `${second}^{tree}`));
  expect((await mirror.file(second, 'README.md'))?.toString()).toBe('hello\n');
  expect(await mirror.file(second, 'services/web/link')).toBeNull();
  expect(await mirror.tree(second, 'nothing/here')).toEqual([]);
});

test('files are listed in the order of git, whether a folder has few folders below it or many', async () => {
  const few = { 'few/a.b': '', 'few/a/c': '', 'few/a-': '', 'few/b/c/d/e': '', 'few/x': { run: '' } };
  const many = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`many/${i % 40}/${i}/f`, `${i}`]));
  const repository = await forge.createRepository('order');
  const head = await repository.commit({ files: { ...few, ...many } });
  const mirror = await mirrorOf(repository);
  await mirror.fetch();
  for (const folder of ['few', 'many', 'few/b', 'none']) {
    const listed = (await mirror.tree(head, folder)).map(({ mode, oid, path }) => `${mode} blob ${oid}\t${path}`);
    const tree = folder === 'none' ? '' : await repository.git('ls-tree', '-r', `main:${folder}`);
    expect(listed.join('\n')).toBe(tree);
  }
});

test('blobs stay on the server until they are read, and many travel in one request', async () => {
  const repository = await forge.createRepository('blobless');
  const files = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`web/${i}.txt`, `content ${i}`]));
  const head = await repository.commit({ files });
  const mirror = await mirrorOf(repository);
  await mirror.fetch();
  const tree = await mirror.sourceTree(head, 'web', ({ path }) => path !== '7.txt');
  expect(tree.entries).toHaveLength(39);
  expect(await mirror.has(tree.entries[0]?.oid ?? '')).toBe(false);

  const before = forge.requests.length;
  await tree.prefetch(tree.entries.map(({ oid }) => oid));
  const requests = forge.requests.slice(before).filter((line) => line.startsWith('POST'));
  expect(requests.length).toBeLessThanOrEqual(2);
  const texts = await Promise.all(tree.entries.map(({ oid }) => tree.read(oid)));
  expect(texts.map(String).sort()).toEqual(
    Object.values(files)
      .filter((text) => text !== 'content 7')
      .sort(),
  );

  const quiet = forge.requests.length;
  await tree.prefetch(tree.entries.map(({ oid }) => oid));
  expect(forge.requests.length).toBe(quiet);
});

test('reads of missing blobs at the same moment share requests', async () => {
  const repository = await forge.createRepository('shared-reads');
  const head = await repository.commit({
    files: Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`${i}`, `text ${i}`])),
  });
  const mirror = await mirrorOf(repository);
  await mirror.fetch();
  const entries = await mirror.tree(head, '');
  const before = forge.requests.length;
  await Promise.all(entries.map(({ oid }) => mirror.read(oid)));
  expect(forge.requests.slice(before).filter((line) => line.startsWith('GET')).length).toBeLessThanOrEqual(2);
});

test('history is answered from the mirror: ancestry, merge base, position, log, changed paths', async () => {
  const repository = await forge.createRepository('history');
  const one = await repository.commit({ files: { a: '1', 'web/x': '1' } });
  const feature = await repository.commit({
    branch: 'feature',
    from: 'main',
    files: { 'web/x': '2' },
    message: 'feature',
  });
  const two = await repository.commit({ files: { a: '2' }, message: 'two' });
  const merge = await repository.commit({ files: { 'web/x': '2' }, merge: 'feature', message: 'merge' });
  const mirror = await mirrorOf(repository);
  await mirror.fetch();

  expect(await mirror.isAncestor(one, merge)).toBe(true);
  expect(await mirror.isAncestor(merge, one)).toBe(false);
  expect(await mirror.isAncestor(one, one)).toBe(true);
  expect(await mirror.isAncestor(feature, two)).toBe(false);
  expect(await mirror.mergeBase(feature, two)).toBe(one);
  expect(await mirror.firstParentPosition(one)).toBe(1);
  expect(await mirror.firstParentPosition(merge)).toBe(3);
  expect((await mirror.log({ from: one, to: merge, limit: 10 })).map(({ subject }) => subject).sort()).toEqual([
    'feature',
    'merge',
    'two',
  ]);
  expect((await mirror.log({ to: merge, firstParent: true, limit: 2 })).map(({ sha }) => sha)).toEqual([merge, two]);
  expect((await mirror.log({ to: merge, paths: ['web'], limit: 10 })).map(({ sha }) => sha)).toContain(feature);
  expect(await mirror.log({ to: merge, paths: ['*'], limit: 10 })).toEqual([]);
  expect((await mirror.changedPaths(one, merge)).sort()).toEqual(['a', 'web/x']);

  const other = await repository.commit({ branch: 'island', force: true, files: { z: '1' } });
  await mirror.fetch();
  expect(await mirror.mergeBase(other, merge)).toBeNull();
});

test('annotated, nested and light tags show the commit that they name', async () => {
  const repository = await forge.createRepository('tags');
  const head = await repository.commit({ files: { a: '1' } });
  await repository.git('tag', 'light', head);
  await repository.git('tag', '-a', '-m', 'one', 'v1.0.0', head);
  await repository.git('tag', '-a', '-m', 'of a tag', 'nested', 'v1.0.0');
  const mirror = await mirrorOf(repository);
  await mirror.fetch();
  const refs = new Map((await mirror.refs()).map((ref) => [ref.name, ref]));
  expect(refs.get('refs/tags/light')).toMatchObject({ oid: head, commit: head });
  for (const name of ['v1.0.0', 'nested']) {
    const oid = await repository.git('rev-parse', `refs/tags/${name}`);
    expect(oid).not.toBe(head);
    expect(refs.get(`refs/tags/${name}`)).toMatchObject({ oid, commit: head });
  }
});

test('a force-push, a deleted branch and a moved tag are followed, and nothing that was fetched is lost', async () => {
  const repository = await forge.createRepository('forced');
  const lost = await repository.commit({ files: { a: 'lost' } });
  const gone = await repository.commit({ branch: 'feature/a', from: 'main', files: { b: '1' } });
  await repository.git('tag', 'v1', lost);
  const mirror = await mirrorOf(repository, ['http'], { packsBeforeRepack: 5 });
  await mirror.fetch();

  const kept = await repository.commit({ force: true, files: { a: 'kept' } });
  await repository.git('update-ref', '-d', 'refs/heads/feature/a');
  await repository.commit({ branch: 'feature', from: 'main', files: { c: '1' } }); // a file where a folder was
  await repository.git('tag', '-f', 'v1', kept);
  await repository.git('reflog', 'expire', '--expire=now', '--all');
  await repository.git('gc', '--quiet', '--prune=now');
  await mirror.fetch();

  const refs = new Map((await mirror.refs()).map(({ name, commit }) => [name, commit]));
  expect([...refs.keys()]).toEqual(['refs/heads/feature', 'refs/heads/main', 'refs/tags/v1']);
  expect(refs.get('refs/tags/v1')).toBe(kept);
  expect(await mirror.isAncestor(lost, kept)).toBe(false);
  for (let i = 0; i < 6; i++) {
    await repository.commit({ files: { n: String(i) } });
    await mirror.fetch();
  }
  const packs = () =>
    readdirSync(join(mirror.directory, 'store.git/objects/pack')).filter((file) => file.endsWith('.pack'));
  expect(packs().length).toBeGreaterThan(5);
  await mirror.maintain();
  expect(packs().length).toBe(1);
  expect((await mirror.commit(lost)).subject).toBe('change');
  expect((await mirror.tree(gone, '')).map(({ path }) => path)).toEqual(['a', 'b']);
  await mirror.ensure(lost);
});

test('a commit that no ref leads to is brought by its id; one that does not exist is refused', async () => {
  const repository = await forge.createRepository('ensure');
  const orphan = await repository.commit({ files: { a: '1' } });
  await repository.commit({ files: { a: '2' }, force: true });
  const mirror = await mirrorOf(repository);
  await mirror.ensure(orphan);
  expect((await mirror.file(orphan, 'a'))?.toString()).toBe('1');
  const before = forge.requests.length;
  await mirror.ensure(orphan);
  expect(forge.requests.length).toBe(before);
  await expect(mirror.ensure('1'.repeat(40))).rejects.toMatchObject({ code: 'git.object-missing' });
  await expect(mirror.commit('2'.repeat(40))).rejects.toMatchObject({ code: 'git.object-missing' });
  await expect(mirror.ensure('HEAD')).rejects.toMatchObject({ code: 'git.object-missing' });
});

test('an empty repository has no refs, and grows later', async () => {
  const repository = await forge.createRepository('empty');
  const mirror = await mirrorOf(repository);
  await mirror.fetch();
  expect(await mirror.refs()).toEqual([]);
  const head = await repository.commit({ files: { a: '1' } });
  await mirror.fetch();
  expect(await mirror.refs()).toMatchObject([{ commit: head }]);
});

test('a sha256 repository is mirrored as well', async () => {
  const repository = await forge.createRepository('sha256', { objectFormat: 'sha256' });
  const head = await repository.commit({ files: { 'web/a': '1' } });
  expect(head).toHaveLength(64);
  const mirror = await mirrorOf(repository);
  await mirror.fetch();
  expect((await mirror.file(head, 'web/a'))?.toString()).toBe('1');
});

test('a repository on this disk is mirrored where the administrator allows it', async () => {
  const repository = await forge.createRepository('local');
  const head = await repository.commit({ files: { a: '1' } });
  const mirror = await mirrorOf({ url: `file://${repository.directory}` }, ['file']);
  await mirror.fetch();
  expect((await mirror.file(head, 'a'))?.toString()).toBe('1');
  await expect(mirrorOf({ url: `file://${repository.directory}` }, ['https'])).rejects.toMatchObject({
    code: 'git.url-refused',
  });
});

async function mirrorOf(
  remote: { url: string },
  allow: Remote['allow'] = ['http'],
  limits: MirrorLimits = {},
): Promise<Mirror & { directory: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-mirror-'));
  const mirror = await openMirror({ url: remote.url, directory, allow, ...limits });
  onTestFinished(async () => {
    mirror.close();
    await rm(directory, { recursive: true, force: true });
  });
  return { ...mirror, directory };
}
