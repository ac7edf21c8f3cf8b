import { expect, test } from 'vitest';

import { each, eachOf } from './each.ts';

test('no more than so many are under way, and all have ended at the end, also after a failure', async () => {
  let underWay = 0;
  let most = 0;
  const ended: number[] = [];
  const work = each([1, 2, 3, 4, 5], 2, async (item) => {
    most = Math.max(most, ++underWay);
    await Promise.resolve();
    underWay--;
    ended.push(item);
    if (item % 2 === 0) throw new Error(`${item} failed`);
  });
  await expect(work).rejects.toThrow('2 failed');
  expect(most).toBe(2);
  expect(ended).toHaveLength(5);
});

test('of a stream so many are under way, nothing is read ahead of them, and after a failure nothing more is begun', async () => {
  const read: number[] = [];
  async function* numbers() {
    for (let n = 1; n <= 9; n++) {
      read.push(n);
      yield n;
    }
  }
  const [ended, underWay]: [number[], Set<number>] = [[], new Set()];
  const work = async (item: number, failsAt: number) => {
    underWay.add(item);
    expect(underWay.size).toBeLessThanOrEqual(3);
    expect(read.length - ended.length).toBeLessThanOrEqual(3);
    await new Promise((resolve) => setImmediate(resolve));
    underWay.delete(item);
    ended.push(item);
    if (item === failsAt) throw new Error(`${item} failed`);
  };
  await eachOf(numbers(), 3, (item) => work(item, 0));
  expect(ended).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  [read.length, ended.length] = [0, 0];
  await expect(eachOf(numbers(), 3, (item) => work(item, 4))).rejects.toThrow('4 failed');
  expect(ended.length).toBeLessThan(9);
});
