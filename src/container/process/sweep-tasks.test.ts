import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { MAKER } from '../../lib/maker.ts';
import { removeTree } from '../rootfs/folders.ts';
import { MARK } from './marked.ts';
import { sweepTasks } from './sweep-tasks.ts';

/** No process has this id: it is the first that Linux never gives. */
const DEAD = '4194304-abcdef';

test('the processes and folders of a server that was killed go, and nothing of one that lives', async () => {
  const work = await mkdtemp(join(tmpdir(), 'towpath-sweep-'));
  onTestFinished(() => removeTree(work));
  const gone = [`task-${DEAD}-1a2b`, `check-${DEAD}-x`];
  const kept = [`task-${MAKER}-1a2b`, `check-${MAKER}-x`, 'task-1-abcdef-1a2b', 'other'];
  for (const name of [...gone, ...kept]) await mkdir(join(work, name, 'inside'), { recursive: true });
  const begin = async (mark: string) => {
    const child = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore', env: { ...process.env, [MARK]: mark } });
    await once(child, 'spawn');
    return child;
  };
  const [left, living] = [await begin(gone[0] ?? ''), await begin(kept[0] ?? '')];
  onTestFinished(() => void living.kill('SIGKILL'));
  const ended = once(left, 'exit');
  await sweepTasks(work);
  expect((await ended)[1]).toMatch(/^SIG(TERM|KILL)$/);
  expect((await readdir(work)).toSorted()).toEqual(kept.toSorted());
  expect([living.exitCode, living.signalCode]).toEqual([null, null]);
  await sweepTasks(join(work, 'nowhere'));
});
