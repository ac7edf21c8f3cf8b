import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { MARK, markedProcesses, mayCarry } from './marked.ts';

let place: string;

beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 'towpath-marked-'));
});
afterAll(() => rm(place, { recursive: true, force: true }));

test('a process that is just executing a program is not taken for one that ended', async () => {
  const again = join(place, 'again.sh');
  await writeFile(again, `#!/bin/sh\nexec ${again}\n`);
  await chmod(again, 0o755);
  const child = await started(again, [], 'again');
  const { pid = 0 } = child;
  let unseen = 0; // while it is, this has shown nothing
  for (let look = 0; look < 1_000 || unseen === 0; look++) {
    if (look % 10 === 0 && !markedProcesses().has('again')) unseen += 1;
    if (!mayCarry('again', pid)) expect.fail(`it was said to have ended at look ${look}`);
  }
  await ended(child);
  expect(mayCarry('again', pid)).toBe(false);
});

test('another mark, a thread of the kernel and a number that nobody has carry none', async () => {
  const child = await started('/bin/sleep', ['60'], 'one');
  const { pid = 0 } = child;
  await expect.poll(() => mayCarry('other', pid)).toBe(false);
  expect(mayCarry('one', pid)).toBe(true);
  await ended(child);
  expect(mayCarry('one', 2)).toBe(false);
  expect(mayCarry('one', 2 ** 30)).toBe(false);
});

async function started(program: string, args: readonly string[], mark: string): Promise<ChildProcess> {
  const child = spawn(program, args, { detached: true, stdio: 'ignore', env: { ...process.env, [MARK]: mark } });
  await once(child, 'spawn');
  return child;
}

async function ended(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
