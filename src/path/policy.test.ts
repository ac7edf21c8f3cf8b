import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import type { AnswerFacts, PromotionFacts } from './facts.ts';
import { type Decision, decidePromotion } from './policy.ts';
import { answerOf, anyAnswer, anyFacts, factsOf } from './testing/facts.ts';

/** The gates that spoke, in order. */
function spoke(decision: Decision): string[] {
  return decision.kind === 'go' ? [] : decision.reasons.map(({ gate }) => gate);
}

test('a ready, newer release goes into a place without gates', () => {
  expect(decidePromotion(factsOf())).toEqual({ kind: 'go' });
  expect(decidePromotion(factsOf({ order: 'first' }))).toEqual({ kind: 'go' });
  expect(decidePromotion(factsOf({ order: 'same' }))).toEqual({ kind: 'go' });
});

test('by itself nothing older moves in anywhere, and another line only where any is accepted; a person may', () => {
  const refused = { kind: 'refuse', reasons: [{ gate: 'order' }] };
  const environment = { accepts: 'any' as const };
  for (const order of ['older', 'diverged'] as const) {
    expect(decidePromotion(factsOf({ order }))).toMatchObject(refused);
    expect(decidePromotion(factsOf({ order, promotion: { automatic: false } }))).toEqual({ kind: 'go' });
  }
  expect(decidePromotion(factsOf({ order: 'older', environment }))).toMatchObject(refused);
  expect(decidePromotion(factsOf({ order: 'diverged', environment }))).toEqual({ kind: 'go' });
});

test('a hold makes what comes by itself wait, and says how it is lifted', () => {
  const environment = { hold: { reason: 'audit week', by: 'olga' } };
  expect(decidePromotion(factsOf({ environment }))).toEqual({
    kind: 'wait',
    checks: [],
    reasons: [
      {
        gate: 'hold',
        what: 'qa is on hold since olga said: audit week',
        fix: '`towpath resume qa` lets it move again.',
      },
    ],
  });
  expect(decidePromotion(factsOf({ environment, promotion: { automatic: false } }))).toEqual({ kind: 'go' });
});

test('artifacts that failed here do not come back by themselves', () => {
  const failedHere = { promotion: 7, what: 'it never became healthy.' };
  const decision = decidePromotion(factsOf({ failedHere }));
  expect(decision).toMatchObject({
    kind: 'refuse',
    reasons: [{ gate: 'failed-before', fix: expect.stringContaining('`towpath promote 4f2a91c qa`') }],
  });
  expect(decidePromotion(factsOf({ failedHere, promotion: { automatic: false } }))).toEqual({ kind: 'go' });
});

test('a mix goes only where any is accepted', () => {
  const release = { mixed: true };
  expect(spoke(decidePromotion(factsOf({ release })))).toEqual(['mix']);
  expect(decidePromotion(factsOf({ release, environment: { accepts: 'any' } }))).toEqual({ kind: 'go' });
});

test('what must live elsewhere first waits for that by itself, and is refused to a person', () => {
  const facts = factsOf({
    environment: { name: 'prod', from: ['demo', 'qa'] },
    predecessors: [
      { name: 'demo', ranMs: null, runsNow: false },
      { name: 'qa', ranMs: null, runsNow: false },
    ],
  });
  expect(decidePromotion(facts)).toMatchObject({ kind: 'wait', reasons: [{ gate: 'from' }] });
  const asked = { ...facts, promotion: { ...facts.promotion, automatic: false } };
  expect(decidePromotion(asked)).toMatchObject({
    kind: 'refuse',
    reasons: [{ what: '4f2a91c has not been live in demo or qa, which comes before prod.' }],
  });
  const lived = [{ name: 'qa', ranMs: 0, runsNow: false }];
  expect(decidePromotion({ ...facts, predecessors: lived })).toEqual({ kind: 'go' });
});

test('a release without artifacts is refused with the reason and what could go instead, and with nothing that checks would say', () => {
  const release = {
    state: 'failed',
    problem: '"web" has no artifact: a test failed.',
    nearest: ['#3 (1234567)'],
  } as const;
  const environment = { gates: [{ kind: 'check', name: 'unit' }] } as const;
  expect(decidePromotion(factsOf({ release, environment }))).toEqual({
    kind: 'refuse',
    reasons: [
      {
        gate: 'artifact',
        what: '4f2a91c cannot run: "web" has no artifact: a test failed.',
        fix: 'Fix the build and push, or promote a release that has every artifact. Nearest that has them: #3 (1234567).',
      },
    ],
  });
});

test('a release that is being built is waited for, and no check is asked of what is not there', () => {
  const decision = decidePromotion(
    factsOf({ release: { state: 'building' }, environment: { gates: [{ kind: 'check', name: 'unit' }] } }),
  );
  expect(decision).toEqual({
    kind: 'wait',
    reasons: [{ gate: 'artifact', what: 'The artifacts of 4f2a91c are being built.' }],
    checks: [],
  });
});

test('a rollback asks for no gate, but nothing yanked comes back', () => {
  const blocked = {
    order: 'older',
    environment: { hold: { reason: 'x', by: 'y' }, gates: [{ kind: 'check', name: 'unit' }] },
  } as const;
  expect(decidePromotion(factsOf({ ...blocked, promotion: { kind: 'rollback' } }))).toEqual({ kind: 'go' });
  const yanked = factsOf({ ...blocked, promotion: { kind: 'rollback' }, release: { yanked: 'wrong tax' } });
  expect(spoke(decidePromotion(yanked))).toEqual(['yank']);
});

test('every reason is named, and refusals come before waits', () => {
  const facts = factsOf({
    order: 'older',
    release: { yanked: 'wrong tax', mixed: true },
    environment: { hold: { reason: 'x', by: 'y' }, gates: [{ kind: 'check', name: 'unit' }] },
    evidence: { unit: [answerOf('failed')] },
  });
  expect(spoke(decidePromotion(facts))).toEqual(['yank', 'order', 'mix', 'unit']);
});

test('the wait is looked at again when its first part may have changed', () => {
  const facts = factsOf({
    environment: {
      from: ['qa'],
      gates: [
        { kind: 'soak', ms: 5000 },
        { kind: 'check', name: 'unit' },
      ],
    },
    predecessors: [{ name: 'qa', ranMs: 2000, runsNow: true }],
    evidence: { unit: [answerOf(null)] },
  });
  expect(decidePromotion(facts)).toMatchObject({
    kind: 'wait',
    wakeAtMs: facts.now + 3000,
    checks: [{ check: 'unit' }],
  });
});

test('an automatic promotion never goes to an older commit, nor to a diverged one of the path', () => {
  holds((facts, decision) => {
    const aside = facts.order === 'diverged' && facts.environment.accepts === 'path';
    const byItself = facts.promotion.automatic && facts.promotion.kind === 'promotion';
    return !((facts.order === 'older' || aside) && byItself && decision.kind === 'go');
  });
});

test('what is yanked or has no artifacts never goes, whoever asks and however', () => {
  holds(({ release }, { kind }) => kind !== 'go' || (release.yanked === null && release.state === 'ready'));
});

test('nothing moves by itself into an environment on hold', () => {
  holds(({ environment, promotion }, { kind }) => {
    return environment.hold === null || !promotion.automatic || promotion.kind === 'rollback' || kind !== 'go';
  });
});

test('a go means that every check of the gates has passed', () => {
  holds(({ environment, evidence, promotion }, { kind }) => {
    if (kind !== 'go' || promotion.kind === 'rollback') return true;
    return environment.gates.every(
      (gate) =>
        gate.kind !== 'check' ||
        ((evidence[gate.name] ?? []).some(() => true) &&
          (evidence[gate.name] ?? []).every(({ latest }) => latest?.verdict === 'passed')),
    );
  });
});

const anyBad = anyAnswer.map((answer): AnswerFacts => {
  const latest = answer.latest ?? { evidence: 'evi_3', at: 0, summary: 'no' };
  return { ...answer, latest: { ...latest, verdict: 'failed' } };
});

test('negative evidence never helps', () => {
  fc.assert(
    fc.property(anyFacts, fc.constantFrom('unit', 'smoke'), anyBad, (facts, check, bad) => {
      const worse: PromotionFacts = {
        ...facts,
        evidence: { ...facts.evidence, [check]: [...(facts.evidence[check] ?? []), bad] },
      };
      expect(rank(decidePromotion(worse))).toBeGreaterThanOrEqual(rank(decidePromotion(facts)));
    }),
  );
});

test('taking evidence away never helps', () => {
  fc.assert(
    fc.property(anyFacts, (facts) => {
      const before = decidePromotion(facts);
      fc.pre(before.kind === 'wait');
      expect(decidePromotion({ ...facts, evidence: {} }).kind).not.toBe('go');
    }),
  );
});

test('what waits or is refused says why, a refusal says what to do, and a wait of a time lies ahead', () => {
  holds(({ now }, decision) => {
    if (decision.kind === 'go') return true;
    const told = decision.reasons.length > 0 && decision.reasons.every(({ what, gate }) => what !== '' && gate !== '');
    if (decision.kind === 'refuse') return told && decision.reasons.every(({ fix }) => fix !== undefined);
    return told && (decision.wakeAtMs === undefined || decision.wakeAtMs > now);
  });
});

test('the same facts always give the same decision', () => {
  holds((facts, decision) => JSON.stringify(decidePromotion(structuredClone(facts))) === JSON.stringify(decision));
});

function holds(rule: (facts: PromotionFacts, decision: Decision) => boolean): void {
  fc.assert(
    fc.property(anyFacts, (facts) => rule(facts, decidePromotion(facts))),
    cases(500),
  );
}

function rank({ kind }: Decision): number {
  return { go: 0, wait: 1, refuse: 2 }[kind];
}
