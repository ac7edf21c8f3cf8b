import { expect, test } from 'vitest';

import { type CareTask, createCare } from './care.ts';

const quiet = { warn: () => undefined };

test('each task runs when it is due, and one that fails stops no other and comes again', async () => {
  const ran: string[] = [];
  const care = careOf([
    task('broken', 10, async () => {
      ran.push('broken');
      throw new Error('the disk is full');
    }),
    task('often', 10, async () => ran.push('often')),
    task('rarely', 100, async () => ran.push('rarely')),
  ]);
  for (const nowMs of [0, 5, 10, 100]) {
    care.begin(nowMs);
    await care.ended();
  }
  expect(ran).toEqual(['broken', 'often', 'rarely', 'broken', 'often', 'broken', 'often', 'rarely']);
});

test('a task that takes long holds up no other, and is not begun a second time meanwhile', async () => {
  let release = (): void => undefined;
  const slow = new Promise<void>((resolve) => (release = resolve));
  const ran: string[] = [];
  const care = careOf([
    task('slow', 10, () => {
      ran.push('slow');
      return slow;
    }),
    task('quick', 10, async () => ran.push('quick')),
  ]);
  for (const nowMs of [0, 10, 20]) {
    care.begin(nowMs);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(ran).toEqual(['slow', 'quick', 'quick', 'quick']);
  release();
  await care.ended();
});

test('what the end of the server cuts short is no failure', async () => {
  const warned: unknown[] = [];
  const stopping = new AbortController();
  const cut = task('cut', 10, async () => {
    stopping.abort();
    stopping.signal.throwIfAborted();
  });
  const care = createCare([cut], { warn: (what: unknown) => void warned.push(what) }, stopping.signal);
  care.begin(0);
  await care.ended();
  expect(warned).toEqual([]);
});

function careOf(tasks: readonly CareTask[]) {
  return createCare(tasks, quiet, new AbortController().signal);
}

function task(name: string, everyMs: number, run: () => Promise<unknown>): CareTask {
  return { name, everyMs, run };
}
