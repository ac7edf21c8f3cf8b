import fc from 'fast-check';
import { expect, test } from 'vitest';

import { isEnded, mayMove, type PromotionState } from './promotion.ts';

const STATES: readonly PromotionState[] = [
  'requested',
  'evaluating',
  'waiting',
  'tagging',
  'deploying',
  'verifying',
  'live',
  'refused',
  'failed',
  'superseded',
  'cancelled',
  'rolled-back',
];
const anyState = fc.constantFrom(...STATES);

test('an ended promotion never moves again', () => {
  fc.assert(
    fc.property(anyState, anyState, (from, to) => {
      fc.pre(isEnded(from) && from !== to);
      expect(mayMove(from, to)).toBe(false);
    }),
  );
});

test('live is reached only through verifying', () => {
  expect(STATES.filter((from) => mayMove(from, 'live') && from !== 'live')).toEqual(['verifying']);
});

test('every promotion that is under way can be cancelled, and every walk ends', () => {
  for (const state of STATES) expect(mayMove(state, 'cancelled')).toBe(!isEnded(state) || state === 'cancelled');
  fc.assert(
    fc.property(fc.array(anyState, { maxLength: 40 }), (wishes) => {
      let state: PromotionState = 'requested';
      let ended = false;
      for (const wish of wishes) {
        if (mayMove(state, wish)) state = wish;
        if (ended) expect(isEnded(state)).toBe(true);
        ended = isEnded(state);
      }
    }),
  );
});
