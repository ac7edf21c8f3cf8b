import fc from 'fast-check';
import { expect, test } from 'vitest';

import { formatDuration, parseDuration } from './duration.ts';

test('a duration is one whole number and one unit', () => {
  expect(parseDuration('30s')).toBe(30_000);
  expect(parseDuration('14d')).toBe(14 * 86_400_000);
  for (const wrong of ['', '5', 's', '1.5h', '-1s', '1h30m', ' 1s', '1y', '1S', '9999999999s'])
    expect(parseDuration(wrong)).toBeUndefined();
});

test('a span survives being written and read', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999 }), (ms) => {
      expect(parseDuration(formatDuration(ms))).toBe(ms);
    }),
  );
  expect(formatDuration(5_400_000)).toBe('90m');
});
