import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import type { AnswerFacts, PromotionFacts } from './facts.ts';
import type { Gate } from './gate.ts';
import { type Decision, decidePromotion } from './policy.ts';
import { answerOf, anyFacts, factsOf, NOW } from './testing/facts.ts';

const HOUR = 3_600_000;

/** A check as a gate, and the same where an answer counts for a day. */
const GATES: Readonly<Record<string, Gate>> = {
  any: { kind: 'check', name: 'unit' },
  fresh: { kind: 'check', name: 'unit', freshMs: 24 * HOUR },
};

/** The answers to one question, the oldest first: what the store gives is the last of them. */
function answered(...verdicts: ('passed' | 'failed' | 'error')[]): AnswerFacts[] {
  return [answerOf(verdicts.at(-1) ?? null, { summary: 'so it was' })];
}

interface Row {
  readonly state: string;
  readonly answers: readonly AnswerFacts[];
  /** What the two gates say to a person, with words of the reason; of what comes by itself where that differs. */
  readonly any: readonly [Decision['kind'], string?];
  readonly fresh?: readonly [Decision['kind'], string?];
  readonly byItself?: Decision['kind'];
}

const NOT_YET = 'has no answer for the artifacts of 4f2a91c yet; it is being asked';
const FAILED = 'unit failed for 4f2a91c: web: so it was';

// states of signatures (wrong key, revoked key, wrong predicate, truncated) are rows of what verifies them
const ROWS: readonly Row[] = [
  { state: 'none', answers: answered(), any: ['wait', NOT_YET] },
  { state: 'no service asks it', answers: [], any: ['refuse', 'has a check called unit, so nothing can prove it'] },
  { state: 'passed', answers: answered('passed'), any: ['go'] },
  { state: 'failed', answers: answered('failed'), any: ['refuse', FAILED] },
  { state: 'passed, then failed', answers: answered('passed', 'failed'), any: ['refuse', FAILED] },
  { state: 'failed, then passed', answers: answered('failed', 'passed'), any: ['go'] },
  {
    state: 'passed, then not answered',
    answers: answered('passed', 'error'),
    any: ['refuse', 'unit could not be answered for 4f2a91c'],
  },
  {
    state: 'expired',
    answers: [answerOf('passed', { at: NOW - 25 * HOUR })],
    any: ['go'],
    fresh: ['wait', 'its answer may be at most 1d old; it is being asked again'],
  },
  {
    state: 'failed long ago',
    answers: [answerOf('failed', { at: NOW - 25 * HOUR, summary: 'so it was' })],
    any: ['refuse', FAILED],
  },
  // what a scan says: while its advisories are new enough, after that, and where there were none
  {
    state: 'passed, upon what still counts',
    answers: [answerOf('passed', { untilMs: NOW + HOUR })],
    any: ['go'],
  },
  {
    state: 'passed, upon what counts no more',
    answers: [answerOf('passed', { untilMs: NOW })],
    any: ['wait', 'what it rests upon counted until 2026-05-20T12:00:00.000Z; it is being asked again'],
  },
  {
    state: 'failed, upon what counts no more',
    answers: [answerOf('failed', { untilMs: NOW, summary: 'so it was' })],
    any: ['refuse', FAILED],
  },
  {
    state: 'not answered, for its advisories are too old or missing',
    answers: [answerOf('error', { summary: 'this server has no advisories' })],
    any: ['refuse', 'unit could not be answered for 4f2a91c: web: this server has no advisories'],
  },
  // a question is about digests and, after a deployment, an environment: an answer about others is none to this one
  { state: 'of another digest, or of another environment', answers: [answerOf(null)], any: ['wait', NOT_YET] },
  {
    state: 'passed for one service, none for another',
    answers: [answerOf('passed'), answerOf(null, { service: 'api' })],
    any: ['wait', NOT_YET],
  },
  {
    state: 'of a branch that asks otherwise',
    answers: [answerOf('passed', { asked: 'otherwise', differs: ['run'] })],
    any: ['refuse', 'main asks unit of web with another run'],
    byItself: 'wait',
  },
  {
    state: 'of a branch that took the check out',
    answers: [answerOf(null, { asked: 'only-there' })],
    any: ['refuse', 'main asks unit of web and this release does not'],
    byItself: 'wait',
  },
  {
    state: 'of a branch that brought the check',
    answers: [answerOf('passed', { asked: 'only-here' })],
    any: ['refuse', 'main asks no unit of web'],
    byItself: 'wait',
  },
  {
    state: 'of a branch that asks otherwise, and failed',
    answers: [answerOf('failed', { asked: 'otherwise', differs: ['run'], summary: 'so it was' })],
    any: ['refuse', FAILED],
  },
];

describe.each(Object.keys(GATES))('the gate of a check, %s', (gate) => {
  test.each(ROWS)('$state', ({ answers, byItself, ...row }) => {
    const [kind, words] = gate === 'fresh' ? (row.fresh ?? row.any) : row.any;
    const decide = (automatic: boolean, patch: Partial<PromotionFacts['environment']> = {}) =>
      decidePromotion(
        factsOf({
          promotion: { automatic },
          environment: { gates: [GATES[gate] ?? { kind: 'unchanged' }], ...patch },
          evidence: { unit: answers },
        }),
      );
    const decision = decide(false);
    expect(decision.kind).toBe(kind);
    if (decision.kind !== 'go')
      expect(decision.reasons.map(({ what }) => what)).toEqual([expect.stringContaining(words ?? '')]);
    expect(decide(true).kind).toBe(byItself ?? kind);
    // neither who accepts what nor a hold makes evidence of it
    expect(decide(true, { accepts: 'any', hold: { reason: 'audit', by: 'olga' } }).kind).not.toBe('go');
  });
});

test('a rollback asks for none of it', () => {
  for (const { answers } of ROWS) {
    const gates = Object.values(GATES);
    const facts = factsOf({ promotion: { kind: 'rollback' }, environment: { gates }, evidence: { unit: answers } });
    expect(decidePromotion(facts)).toEqual({ kind: 'go' });
  }
});

test('evidence that is added as a failure, or that is hidden, never turns a refusal or a wait into a go', () => {
  const anyRow = fc.constantFrom(...ROWS);
  const anyGate = fc.constantFrom(...Object.values(GATES));
  fc.assert(
    fc.property(anyFacts, anyRow, anyGate, fc.nat(9), fc.boolean(), (facts, { answers }, gate, at, hides) => {
      const before = { ...facts, environment: { ...facts.environment, gates: [...facts.environment.gates, gate] } };
      const known = { ...before, evidence: { ...before.evidence, unit: answers } };
      fc.pre(decidePromotion(known).kind !== 'go');
      const after = answers.map((answer, i): AnswerFacts => {
        if (i !== at % answers.length) return answer;
        const latest = { evidence: 'evi_9', verdict: 'failed' as const, at: NOW, summary: 'no' };
        return { ...answer, latest: hides ? null : latest };
      });
      expect(decidePromotion({ ...known, evidence: { ...known.evidence, unit: after } }).kind).not.toBe('go');
    }),
    cases(300),
  );
});
