import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { openLimbo } from './limbo.ts';

test('of a use and a removal at the same moment one wins: who was told that it is there has it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-limbo-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const aside = join(directory, 'limbo');
  await mkdir(aside);
  const [one, two, three] = [openLimbo(directory, aside), openLimbo(directory, aside), openLimbo(directory, aside)];
  const count = { used: 0, gone: 0 };
  const isSeen = (): boolean => Math.min(count.used, count.gone) > 10;
  for (let n = 0; n < 800 || (!isSeen() && n < 10_000); n++) {
    const folder = join(directory, `${n}`);
    const file = join(folder, 'file');
    await mkdir(folder);
    await writeFile(file, 'content');
    await utimes(file, 0, 0);
    const turns = async (times: number) => {
      for (let i = 0; i < times; i++) await stat(folder);
    };
    const [size, once, twice] = await Promise.all([
      turns(n % 9).then(() => one.use(file)), // meets the removal at another moment each time
      two.retireBelow(folder, { beforeMs: 1000 }),
      three.retireBelow(folder, { beforeMs: 1000 }),
    ]);
    const there = await stat(file).catch(() => null);
    expect(there === null).toBe(size === null);
    if (size === null) expect(once.files + twice.files).toBeGreaterThan(0);
    count[size === null ? 'gone' : 'used'] += 1;
  }
  expect(await readdir(aside)).toEqual([]);
  expect(isSeen(), JSON.stringify(count)).toBe(true);
});

test('a file that nobody used goes, one that was used stays, and so does what was just moved aside', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-limbo-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const limbo = openLimbo(directory, join(directory, 'limbo'));
  for (const folder of ['limbo', 'files']) await mkdir(join(directory, folder));
  for (const name of ['files/old', 'files/used', 'limbo/left', 'limbo/fresh'])
    await writeFile(join(directory, name), '1234');
  for (const name of ['files/old', 'files/used', 'limbo/left']) await utimes(join(directory, name), 0, 0);
  expect((await limbo.use(join(directory, 'files/used')))?.size).toBe(4);
  expect(await limbo.use(join(directory, 'files/none'))).toBeNull();
  expect(await limbo.retireBelow(join(directory, 'files'), { beforeMs: 1000 })).toEqual({ files: 1, bytes: 4 });
  expect(await limbo.sweep(1000)).toBe(1);
  expect(await readdir(join(directory, 'files'))).toEqual(['used']);
  expect(await readdir(join(directory, 'limbo'))).toEqual(['fresh']);
});
