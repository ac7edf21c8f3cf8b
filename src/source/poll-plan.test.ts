import fc from 'fast-check';
import { expect, test } from 'vitest';

import { planNextPoll, POLL_SETTINGS, type PollFacts } from './poll-plan.ts';

const now = 1_800_000_000_000;
const anyFacts = fc.record({
  outcome: fc.constantFrom('changed', 'unchanged', 'failed'),
  failures: fc.nat(1000),
  startedAt: fc.integer({ min: now - 60_000, max: now }),
  now: fc.constant(now),
  wokenAt: fc.option(fc.integer({ min: now - 3_600_000, max: now })),
});
const anyChance = fc.double({ min: 0, max: 0.999, noNaN: true });

test('a repository is always polled again: not in the past, not later than the longest pause', () => {
  fc.assert(
    fc.property(anyFacts, anyChance, (facts, chance) => {
      const { at } = planNextPoll(facts, POLL_SETTINGS, chance);
      expect(at).toBeGreaterThanOrEqual(now);
      expect(at).toBeLessThanOrEqual(now + POLL_SETTINGS.longestPauseMs);
    }),
  );
});

test('a repository that is well is seen again within a minute', () => {
  fc.assert(
    fc.property(anyFacts, anyChance, (facts, chance) => {
      if (facts.outcome !== 'failed')
        expect(planNextPoll(facts, POLL_SETTINGS, chance).at).toBeLessThanOrEqual(now + 36_000);
    }),
  );
});

test('whoever asks to look during a poll is not forgotten', () => {
  fc.assert(
    fc.property(anyFacts, anyChance, (facts, chance) => {
      if (facts.wokenAt === null || facts.wokenAt <= facts.startedAt || facts.outcome === 'failed') return;
      expect(planNextPoll(facts, POLL_SETTINGS, chance)).toMatchObject({ at: now, wokenAt: facts.wokenAt });
    }),
  );
});

test('looking again after a wake-up comes to an end', () => {
  let facts: PollFacts = { outcome: 'unchanged', failures: 0, startedAt: now + 1, now: now + 1, wokenAt: now };
  const pauses: number[] = [];
  for (let i = 0; i < 10 && facts.wokenAt !== null; i++) {
    const next = planNextPoll(facts, POLL_SETTINGS, 0.5);
    pauses.push(next.at - facts.now);
    facts = { ...facts, startedAt: next.at, now: next.at, wokenAt: next.wokenAt };
  }
  expect(pauses).toEqual([1_999, 8_000, 30_000]);
});

test('two repositories that failed together do not come back together', () => {
  const facts: PollFacts = { outcome: 'failed', failures: 3, startedAt: now, now, wokenAt: null };
  expect(planNextPoll(facts, POLL_SETTINGS, 0.1).at).not.toBe(planNextPoll(facts, POLL_SETTINGS, 0.9).at);
});

test('a server that asks us to stay away is obeyed', () => {
  const facts: PollFacts = {
    outcome: 'failed',
    failures: 0,
    startedAt: now,
    now,
    wokenAt: null,
    retryAfterMs: 7_200_000,
  };
  expect(planNextPoll(facts, POLL_SETTINGS, 0.5).at).toBe(now + 7_200_000);
});
