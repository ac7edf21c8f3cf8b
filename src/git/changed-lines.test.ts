import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import { differenceOf, type LineRange, parseChangedLines } from './changed-lines.ts';
import { type Mirror, openMirror } from './mirror.ts';
import { type FileChange, type Forge, type ForgeRepository, startForge } from './testing/forge.ts';

let forge: Forge;
let repository: ForgeRepository;
let mirror: Mirror;
let directory = '';

beforeAll(async () => {
  forge = await startForge();
  repository = await forge.createRepository('lines');
  directory = await mkdtemp(join(tmpdir(), 'towpath-lines-'));
  mirror = await openMirror({ url: repository.url, directory, allow: ['http'] });
});
afterAll(async () => {
  mirror.close();
  await forge.close();
  await rm(directory, { recursive: true, force: true });
});

const TEN = '1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n';

test('lines that are new or other are told, of files with any name, and no others', async () => {
  const odd = 'a\n"b"\t\u00e4 b.js';
  const changed = await changedBetween(
    {
      'same.js': TEN,
      'edited.js': TEN,
      [odd]: TEN,
      'shorter.js': TEN,
      'gone.js': 'gone\n',
      'picture.png': Buffer.from([0, 1, 2]),
      'mode.js': 'x\n',
      'file-then-link': 'text\n',
      'link-then-file': { link: 'elsewhere' },
      link: { link: 'one' },
      'signs.js': '',
    },
    {
      'edited.js': TEN.replace('2\n', 'two\n').replace('9\n10\n', '9\nmore\n10\nlast'),
      [odd]: `first\n${TEN}`,
      'shorter.js': '1\n10\n',
      'gone.js': null,
      'picture.png': Buffer.from([0, 1, 3]),
      'mode.js': { run: 'x\n' },
      'file-then-link': { link: 'elsewhere' },
      'link-then-file': 'one\ntwo\n',
      link: { link: 'other' },
      'signs.js': '@@ -1 +1 @@\ndiff --git a/x b/x\n+++ b/x\n',
      'new.js': 'one\ntwo\n',
      'empty.js': '',
    },
  );
  expect(changed).toEqual({
    'edited.js': [
      [2, 2],
      [10, 10],
      [12, 12],
    ],
    'link-then-file': [[1, 2]],
    [odd]: [[1, 1]],
    'signs.js': [[1, 3]],
    'new.js': [[1, 2]],
  });
});

test('a renamed file has the lines that changed with it, one that is new has all', async () => {
  const changed = await changedBetween(
    { 'old/name.js': TEN },
    { 'old/name.js': null, 'new/name.js': TEN.replace('5\n', 'five\n'), 'other.js': 'x\n' },
  );
  expect(changed).toEqual({ 'new/name.js': [[5, 5]], 'other.js': [[1, 1]] });
});

test('of a folder that was not there, all lines are new', async () => {
  const commit = await repository.commit({ files: { 'fresh/a.js': 'x\ny\n' } });
  await mirror.fetch();
  expect(plain(await mirror.changedLines(null, await treeAt(commit, 'fresh')))).toEqual({ 'a.js': [[1, 2]] });
});

test('the lines of a diff are those that make the old file the new one', async () => {
  const text = fc.array(fc.constantFrom('a', 'b', '@@ -1 +1 @@', 'diff --git a b'), { maxLength: 8 });
  const files = fc.sample(fc.tuple(text, text), cases(60)); // all in one commit
  const written = (which: 0 | 1) =>
    Object.fromEntries(files.map((pair, i) => [`f${i}`, pair[which].map((line) => `${line}\n`).join('')]));
  const changed = await changedBetween(written(0), written(1));
  for (const [i, [before, after]] of files.entries()) {
    const ranges = changed[`f${i}`] ?? [];
    const kept = after.filter((_, at) => !ranges.some(([first, last]) => at + 1 >= first && at + 1 <= last));
    expect(isSubsequence(kept, before)).toBe(true);
  }
});

test('what git does not say is not guessed', () => {
  expect(parseChangedLines(Buffer.alloc(0))).toEqual(new Map());
  for (const text of [':100644 1', ':100644 100644 a b M\0a\0\0', ':100644 100644 a b M\0a\0\0@@ -1 +1 @@\n'])
    expect(() => parseChangedLines(Buffer.from(text))).toThrow('in a way that is not known');
});

test('files differ by content, by mode, and by being there', () => {
  const entry = (path: string, oid: string, mode: '100644' | '100755' = '100644') => ({ path, oid, mode });
  const before = [entry('a', '1'), entry('b', '1'), entry('c', '1'), entry('gone', '1')];
  const after = [entry('a', '1'), entry('b', '2'), entry('c', '1', '100755'), entry('new', '1')];
  expect(differenceOf(before, after).map(({ path }) => path)).toEqual(['b', 'c', 'gone', 'new']);
  expect(differenceOf(after, after)).toEqual([]);
});

test('what brought a commit to a branch is found, however it came', async () => {
  const one = await repository.commit({ branch: 'trunk', force: true, files: { a: '1' } });
  const feature = await repository.commit({ branch: 'topic', from: 'trunk', files: { b: '1' } });
  const two = await repository.commit({ branch: 'trunk', files: { a: '2' } });
  const merge = await repository.commit({ branch: 'trunk', files: { b: '1' }, merge: 'topic' });
  const last = await repository.commit({ branch: 'trunk', files: { a: '3' } });
  const aside = await repository.commit({ branch: 'aside', from: 'trunk', files: { c: '1' } });
  await mirror.fetch();
  expect(await mirror.broughtBy(feature, last)).toEqual([merge, last]);
  expect(await mirror.broughtBy(one, last)).toEqual([two, merge, last]);
  expect(await mirror.broughtBy(last, last)).toEqual([]);
  expect(await mirror.broughtBy(aside, last)).toEqual([]);
});

async function changedBetween(
  before: Readonly<Record<string, FileChange>>,
  after: Readonly<Record<string, FileChange>>,
): Promise<Record<string, readonly LineRange[]>> {
  const under = (files: Readonly<Record<string, FileChange>>) =>
    Object.fromEntries(Object.entries(files).map(([path, file]) => [`s/${path}`, file]));
  const one = await repository.commit({ force: true, files: under(before) });
  const two = await repository.commit({ files: under(after) });
  await mirror.fetch();
  return plain(await mirror.changedLines(await treeAt(one, 's'), await treeAt(two, 's')));
}

async function treeAt(commit: string, path: string): Promise<string> {
  return (await mirror.entry(commit, path))?.oid ?? '';
}

const plain = (lines: ReadonlyMap<string, readonly LineRange[]>): Record<string, readonly LineRange[]> =>
  Object.fromEntries(lines);

function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let at = 0;
  for (const line of whole) if (line === part[at]) at++;
  return at === part.length;
}
