import fc from 'fast-check';
import { expect, test } from 'vitest';

import { fixedClock } from '../lib/clock.ts';
import { ageMeter } from './age.ts';

const NOW = 1_800_000_000_000;

test('what was started before anybody looked has the age that its record tells', () => {
  const ageOf = ageMeter(fixedClock(NOW));
  expect(ageOf({ id: 'a', startedAtMs: NOW - 60_000 })).toBe(60_000);
  expect(ageOf({ id: 'b', startedAtMs: NOW + 3_600_000 })).toBe(0); // the clock was set back since
});

test('a clock that is set while something runs makes it neither older nor younger', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(100_000), fc.nat(2 * NOW))), (moves) => {
      const clock = fixedClock(NOW);
      const ageOf = ageMeter(clock);
      let passed = 0;
      expect(ageOf({ id: 'a', startedAtMs: NOW })).toBe(0);
      for (const [ms, instant] of moves) {
        clock.advance(ms);
        clock.set(instant);
        passed += ms;
        expect(ageOf({ id: 'a', startedAtMs: NOW })).toBe(passed);
      }
    }),
  );
});

test('one that was started again is young again', () => {
  const clock = fixedClock(NOW);
  const ageOf = ageMeter(clock);
  ageOf({ id: 'a', startedAtMs: NOW });
  clock.advance(5000);
  expect(ageOf({ id: 'a', startedAtMs: NOW + 5000 })).toBe(0);
});
