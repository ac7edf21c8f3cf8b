import { expect, test } from 'vitest';

import { isHit, readFaultPlan } from './fault.ts';

test('a fault hits its boundary the first time, or the time it names', () => {
  expect(isHit('promote:deploy:done', 'promote:deploy:done', 1)).toBe(true);
  expect(isHit('promote:deploy:done', 'promote:deploy:done', 2)).toBe(false);
  expect(isHit('promote:deploy:done#2', 'promote:deploy:done', 2)).toBe(true);
  expect(isHit('promote:deploy:done', 'promote:deploy:recorded', 1)).toBe(false);
  expect(isHit(undefined, 'promote:deploy:done', 1)).toBe(false);
});

test('without its variables nothing is planned', () => {
  expect(readFaultPlan({ TOWPATH_FAULT: '' })).toEqual({ at: undefined, onceFile: undefined, traceFile: undefined });
});
