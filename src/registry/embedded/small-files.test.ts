import { mkdtemp, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { smallFiles } from './small-files.ts';

test('a file is read once, and again when anybody wrote to it or put another in its place', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-small-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const path = join(directory, 'file');
  const files = smallFiles();
  const look = async () => files.read(path, await stat(path));
  await writeFile(path, 'first');
  const first = await look();
  expect(first.toString()).toBe('first');
  expect(await look()).toBe(first);

  const { ctimeMs } = await stat(path);
  await expect.poll(async () => (await writeFile(path, 'other'), (await stat(path)).ctimeMs)).toBeGreaterThan(ctimeMs);
  await utimes(path, 0, 0); // its times say nothing
  expect((await look()).toString()).toBe('other');

  await writeFile(join(directory, 'new'), 'third');
  await rename(join(directory, 'new'), path);
  expect((await look()).toString()).toBe('third');
});

test('a large file is not kept', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-small-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const path = join(directory, 'file');
  await writeFile(path, Buffer.alloc(20_000, 'a'));
  const files = smallFiles();
  const first = await files.read(path, await stat(path));
  expect(await files.read(path, await stat(path))).not.toBe(first);
  expect(first).toHaveLength(20_000);
});
