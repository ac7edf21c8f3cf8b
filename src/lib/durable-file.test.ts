import { mkdir, mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { writeDurably } from './durable-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-durable-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('a file is replaced whole, readable by its owner alone, and nothing else is left', async () => {
  const path = join(folder, 'state.json');
  await writeDurably(path, 'a long first content');
  await writeDurably(path, 'short');
  expect(await readFile(path, 'utf8')).toBe('short');
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toEqual(['state.json']);
});

test('many writers at once leave the content of one of them', async () => {
  const path = join(folder, 'state.json');
  const contents = Array.from({ length: 20 }, (_, index) => String(index).repeat(5000));
  await Promise.all(contents.map((content) => writeDurably(path, content)));
  expect(contents).toContain(await readFile(path, 'utf8'));
  expect(await readdir(folder)).toEqual(['state.json']);
});

test('a write that fails leaves what was there, and no draft', async () => {
  const path = join(folder, 'taken');
  await mkdir(path);
  await expect(writeDurably(path, 'x')).rejects.toThrow();
  expect(await readdir(folder)).toEqual(['taken']);
});
