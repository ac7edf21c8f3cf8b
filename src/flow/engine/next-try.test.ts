import fc from 'fast-check';
import { expect, test } from 'vitest';

import { nextTry } from './next-try.ts';

test('the next try is the first that has not ended, and few are asked about', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(5000), async (ended) => {
      let asked = 0;
      const found = await nextTry(async (number) => {
        asked += 1;
        return number < ended;
      });
      expect(found).toBe(ended);
      expect(asked).toBeLessThanOrEqual(2 + 2 * Math.ceil(Math.log2(ended + 2)));
    }),
  );
});
