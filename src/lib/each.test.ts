import { expect, test } from 'vitest';

import { each } from './each.ts';

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
