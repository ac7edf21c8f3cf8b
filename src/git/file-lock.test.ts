import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, onTestFinished, test } from 'vitest';

import { bundle, startProgram } from '../store/testing/program.ts';
import { withFileLock } from './file-lock.ts';

test('one at a time, and nothing is left behind', async () => {
  const { file, directory } = await place();
  let inside = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    inside += 1;
    most = Math.max(most, inside);
    await new Promise(setImmediate);
    inside -= 1;
  };
  await Promise.all(Array.from({ length: 8 }, () => withFileLock(file, work)));
  expect(most).toBe(1);
  expect(await readdir(directory)).toEqual([]);
});

test('work that fails gives its lock back', async () => {
  const { file } = await place();
  await expect(withFileLock(file, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(await withFileLock(file, () => Promise.resolve('free'))).toBe('free');
});

test('the lock of a process that was killed is taken over at once', async () => {
  const { file } = await place();
  const program = await bundle(fileURLToPath(new URL('testing/fetch-program.ts', import.meta.url)));
  const holder = startProgram(program, ['hold', file]);
  await holder.line((line) => line === 'held');
  await expect(withFileLock(file, () => Promise.resolve(), { waitMs: 0 })).rejects.toMatchObject({
    code: 'git.locked',
  });
  holder.kill('SIGKILL');
  await holder.ended;
  expect(await withFileLock(file, () => Promise.resolve('mine'))).toBe('mine');
});

test.runIf(process.platform === 'linux')('so is that of one that ended and whom its parent forgot', async () => {
  const { file } = await place();
  const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  const fields = async () => (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
  const holder = { host: hostname(), pid, born: `${boot.trim()}/${(await fields())[19]}` };
  await writeFile(file, JSON.stringify(holder));
  const take = async () => withFileLock(file, () => Promise.resolve('mine'), { waitMs: 0 });
  await expect(take()).rejects.toMatchObject({ code: 'git.locked' });
  process.kill(pid, 'SIGKILL');
  await expect.poll(async () => (await fields())[0]).toBe('Z');
  expect(await take()).toBe('mine');
});

test.each([
  ['of a process id that was given anew', { host: hostname(), pid: process.pid, born: 'another-boot/1' }, 0, true],
  ['of another machine that still beats', { host: 'elsewhere', pid: 1, born: '' }, 0, false],
  ['of another machine that beats no more', { host: 'elsewhere', pid: 1, born: '' }, 61_000, true],
  ['that says nothing we know', 'rubbish', 61_000, true],
])('a lock %s', async (_, content, ageMs, isTaken) => {
  const { file } = await place();
  await writeFile(file, JSON.stringify(content));
  const beat = new Date(Date.now() - ageMs);
  await utimes(file, beat, beat);
  const taking = withFileLock(file, () => Promise.resolve('taken'), { waitMs: 0 });
  if (isTaken) expect(await taking).toBe('taken');
  else await expect(taking).rejects.toMatchObject({ code: 'git.locked' });
});

test('whoever waits can be told to stop', async () => {
  const { file } = await place();
  const end = new AbortController();
  await withFileLock(file, async () => {
    const waiting = withFileLock(file, () => Promise.resolve(), { signal: end.signal });
    end.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'git.cancelled' });
  });
});

async function place(): Promise<{ file: string; directory: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-lock-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return { file: join(directory, 'lock'), directory };
}
