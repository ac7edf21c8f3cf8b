import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { noSmallDisk, smallDisk } from './lib/testing/small-disk.ts';
import { makeDataDirectory, takeDataDirectory } from './data-directory.ts';

test('a data directory has one server at a time; the next one gets it when the first is done', async () => {
  const data = await directory();
  const giveBack = await takeDataDirectory(data);
  await expect(takeDataDirectory(data)).rejects.toMatchObject({ code: 'server.running' });
  await giveBack();
  await (
    await takeDataDirectory(data)
  )();
});

test('a server that was killed holds nothing', async () => {
  const data = await directory();
  const giveBack = await takeDataDirectory(data);
  const held = JSON.parse(await readFile(join(data, 'server.lock'), 'utf8')) as { pid: number };
  await giveBack();
  const child = spawn(process.execPath, ['--eval', '']);
  await once(child, 'exit');
  await writeFile(join(data, 'server.lock'), JSON.stringify({ ...held, pid: child.pid }));
  await (
    await takeDataDirectory(data)
  )();
});

test('what cannot be a data directory is refused with what stands in the way', async () => {
  const file = join(await directory(), 'file');
  await writeFile(file, '');
  for (const data of [file, join(file, 'below')])
    await expect(makeDataDirectory(data)).rejects.toMatchObject({
      code: 'server.data-unusable',
      what: `The data directory ${data} cannot be used: a file is in the way.`,
    });
});

test.skipIf(noSmallDisk !== null)('a disk that is read-only is told as one on which nothing can be made', async () => {
  const disk = smallDisk(1);
  const data = disk.directory;
  onTestFinished(() => disk.remove());
  execFileSync('mount', ['-o', 'remount,ro', data]);
  await expect(makeDataDirectory(data)).rejects.toMatchObject({
    code: 'server.data-unusable',
    what: expect.stringContaining('read-only'),
  });
});

async function directory(): Promise<string> {
  const data = await mkdtemp(join(tmpdir(), 'towpath-data-'));
  onTestFinished(() => rm(data, { recursive: true }));
  return data;
}
