import { setImmediate as turn } from 'node:timers/promises';

import { expect, test } from 'vitest';

import { together } from './together.ts';

/** Runs when it is told to, and remembers what it was asked for at once. */
function held(): {
  readonly run: (asked: readonly string[]) => Promise<readonly string[]>;
  readonly go: () => void;
  readonly runs: readonly string[][];
} {
  const runs: string[][] = [];
  const waiting: (() => void)[] = [];
  return {
    runs,
    go: () => waiting.shift()?.(),
    run: async (asked) => {
      runs.push([...asked]);
      await new Promise<void>((resolve) => waiting.push(resolve));
      if (asked.includes('bad')) throw new Error('one of them is bad');
      return asked.map((one) => one.toUpperCase());
    },
  };
}

test('who asks at one moment, and who comes while that is under way, is answered in one go each', async () => {
  const { run, go, runs } = held();
  const ask = together(run, String);
  const first = [ask('a'), ask('b')];
  await turn();
  const second = [ask('c'), ask('d'), ask('e')];
  await turn();
  expect(runs).toEqual([['a', 'b']]);
  go();
  expect(await Promise.all(first)).toEqual(['A', 'B']);
  await turn();
  go();
  expect(await Promise.all(second)).toEqual(['C', 'D', 'E']);
  expect(runs).toEqual([
    ['a', 'b'],
    ['c', 'd', 'e'],
  ]);
  const later = ask('f');
  await turn();
  go();
  expect(await later).toBe('F');
});

test('those of one key go one after the other', async () => {
  const { run, go, runs } = held();
  const ask = together(run, (asked) => asked.slice(0, 1));
  const all = Promise.all([ask('a1'), ask('b1'), ask('a2'), ask('a3')]);
  for (let count = 0; count < 3; count++) {
    await turn();
    go();
    await turn();
  }
  expect(await all).toEqual(['A1', 'B1', 'A2', 'A3']);
  expect(runs).toEqual([['a1', 'b1'], ['a2'], ['a3']]);
});

test('a failure that is of none of them is told to all at once', async () => {
  const { run, go, runs } = held();
  const ask = together(run, String, () => true);
  const all = Promise.allSettled([ask('a'), ask('bad'), ask('c')]);
  await turn();
  go();
  expect((await all).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  expect(runs).toHaveLength(1);
});

test('one that makes it fail fails alone', async () => {
  const { run, go, runs } = held();
  const ask = together(run, String);
  const all = Promise.allSettled([ask('a'), ask('bad'), ask('c')]);
  for (let count = 0; count < 4; count++) {
    await turn();
    go();
    await turn();
  }
  const [one, bad, other] = await all;
  expect([one, other]).toMatchObject([{ value: 'A' }, { value: 'C' }]);
  expect(bad).toMatchObject({ reason: { message: 'one of them is bad' } });
  expect(runs).toEqual([['a', 'bad', 'c'], ['a'], ['bad'], ['c']]);
});
