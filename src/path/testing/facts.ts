import fc from 'fast-check';

import type { AnswerFacts, ApprovalFacts, GitIdentity, Order, PredecessorFacts, PromotionFacts } from '../facts.ts';
import type { Gate } from '../gate.ts';

export const NOW = Date.UTC(2026, 4, 20, 12);
const HOUR = 3_600_000;

export interface FactsPatch extends Partial<Omit<PromotionFacts, 'promotion' | 'environment' | 'release'>> {
  readonly promotion?: Partial<PromotionFacts['promotion']>;
  readonly environment?: Partial<PromotionFacts['environment']>;
  readonly release?: Partial<PromotionFacts['release']>;
}

/** An automatic promotion of a ready, newer release into a place without gates: it goes. A test says what is otherwise. */
export function factsOf({ promotion, environment, release, ...rest }: FactsPatch = {}): PromotionFacts {
  return {
    now: NOW,
    promotion: { kind: 'promotion', automatic: true, requestedBy: 'ana', ...promotion },
    environment: { name: 'qa', accepts: 'path', from: [], gates: [], hold: null, ...environment },
    release: {
      name: '4f2a91c',
      state: 'ready',
      problem: null,
      mixed: false,
      yanked: null,
      nearest: [],
      ...release,
    },
    order: 'newer',
    currentName: 'v1.0.0',
    predecessors: [],
    protectedBranch: 'main',
    evidence: {},
    contracts: null,
    approvals: [],
    roles: { managers: ['bob', 'eve', 'ana'] },
    users: {},
    authors: [{ name: 'Ana', email: 'ana@shop.example' }],
    committers: [{ name: 'Ana', email: 'ana@shop.example' }],
    failedHere: null,
    unchanged: { kind: 'same' },
    ...rest,
  };
}

/** What is known of a check of the service `web`: nothing, or a verdict of an hour ago. */
export function answerOf(
  verdict: 'passed' | 'failed' | 'error' | null,
  {
    at = NOW - HOUR,
    summary = '9 passed',
    untilMs,
    ...rest
  }: Partial<AnswerFacts> & { at?: number; summary?: string; untilMs?: number } = {},
): AnswerFacts {
  const until = untilMs === undefined ? {} : { untilMs };
  const latest = verdict === null ? null : { evidence: 'evi_1', verdict, at, summary, ...until };
  return { service: 'web', asked: 'same', differs: [], question: 'q', latest, ...rest };
}

const anyName = fc.constantFrom('ana', 'bob', 'eve', 'Mallory');
const anyIdentity: fc.Arbitrary<GitIdentity> = fc.record({
  name: fc.constantFrom('Ana', 'bob', 'Robert', 'Eve E.'),
  email: fc.constantFrom('ana@shop.example', 'bob@shop.example', 'r@home.example', ''),
});
const anyInstant = fc.integer({ min: NOW - 100 * HOUR, max: NOW });

const anyGate: fc.Arbitrary<Gate> = fc.oneof(
  fc.constant<Gate>({ kind: 'unchanged' }),
  fc
    .record({ name: fc.constantFrom('unit', 'smoke'), fresh: fc.option(fc.integer({ min: 1, max: 50 * HOUR })) })
    .map(({ name, fresh }): Gate => ({ kind: 'check', name, ...(fresh === null ? {} : { freshMs: fresh }) })),
  fc.record({
    kind: fc.constant('approvals' as const),
    of: fc.constantFrom('managers', 'nobody'),
    count: fc.integer({ min: 1, max: 3 }),
    expiresMs: fc.integer({ min: 1, max: 50 * HOUR }),
  }),
  fc.integer({ min: 0, max: 4 * HOUR }).map((ms): Gate => ({ kind: 'soak', ms })),
  fc.integer({ min: -HOUR, max: HOUR }).map((shift): Gate => {
    return { kind: 'freeze', windows: [{ kind: 'once', fromMs: NOW - HOUR, untilMs: NOW + shift }] };
  }),
  fc
    .constantFrom(
      'promotion.automatic',
      "order != 'diverged'",
      "authors.all(a, a.name == 'Ana')",
      'authors[1].name != ""',
    )
    .map((rule): Gate => ({ kind: 'rule', rule, says: 'It is as the rule wants it.' })),
);

export const anyAnswer: fc.Arbitrary<AnswerFacts> = fc.record({
  service: fc.constantFrom('web', 'api'),
  asked: fc.constantFrom(
    'same' as const,
    'same' as const,
    'otherwise' as const,
    'only-here' as const,
    'only-there' as const,
  ),
  differs: fc.constantFrom([], ['run']),
  question: fc.constant('q'),
  latest: fc.option(
    fc
      .record({
        evidence: fc.constantFrom('evi_1', 'evi_2'),
        verdict: fc.constantFrom('passed' as const, 'passed' as const, 'failed' as const, 'error' as const),
        at: anyInstant,
        summary: fc.constantFrom('9 passed', '1 of 9 failed'),
        untilMs: fc.option(fc.integer({ min: NOW - HOUR, max: NOW + HOUR }), { freq: 3 }),
      })
      .map(({ untilMs, ...rest }) => (untilMs === null ? rest : { ...rest, untilMs })),
  ),
});

const anyApproval: fc.Arbitrary<ApprovalFacts> = fc.record({
  by: anyName,
  verdict: fc.constantFrom('approved' as const, 'approved' as const, 'rejected' as const),
  at: anyInstant,
  comment: fc.option(fc.string()),
  forThis: fc.boolean(),
});

const anyPredecessor: fc.Arbitrary<PredecessorFacts> = fc
  .record({
    name: fc.constantFrom('dev', 'qa', 'demo'),
    ranMs: fc.option(fc.integer({ min: 0, max: 5 * HOUR })),
    runsNow: fc.boolean(),
  })
  .map((one) => (one.ranMs === null ? { ...one, runsNow: false } : one));

/** Facts of every kind, as a store could hold them. */
export const anyFacts: fc.Arbitrary<PromotionFacts> = fc
  .record({
    promotion: fc.record({
      kind: fc.constantFrom('promotion' as const, 'promotion' as const, 'rollback' as const),
      automatic: fc.boolean(),
      requestedBy: anyName,
    }),
    environment: fc.record({
      name: fc.constant('prod'),
      accepts: fc.constantFrom('path' as const, 'any' as const),
      gates: fc.array(anyGate, { maxLength: 4 }),
      hold: fc.option(fc.constant({ reason: 'audit week', by: 'olga' }), { freq: 3 }),
    }),
    release: fc.record({
      name: fc.constant('v2.0.0'),
      state: fc.constantFrom('ready' as const, 'ready' as const, 'building' as const, 'failed' as const),
      problem: fc.option(fc.constant('"web" has no artifact: a test failed.')),
      mixed: fc.boolean(),
      yanked: fc.option(fc.constant('wrong tax'), { freq: 2 }),
      nearest: fc.constantFrom([], ['#3 (1234567)']),
    }),
    order: fc.constantFrom<Order>('first', 'newer', 'older', 'same', 'diverged'),
    predecessors: fc.uniqueArray(anyPredecessor, { maxLength: 3, selector: ({ name }) => name }),
    evidence: fc.dictionary(fc.constantFrom('unit', 'smoke'), fc.array(anyAnswer, { maxLength: 3 })),
    approvals: fc.uniqueArray(anyApproval, { maxLength: 4, selector: ({ by }) => by }),
    users: fc.dictionary(anyName, fc.uniqueArray(fc.constantFrom('ana@shop.example', 'Robert'), { maxLength: 2 })),
    authors: fc.uniqueArray(anyIdentity, { maxLength: 3 }),
    committers: fc.uniqueArray(anyIdentity, { maxLength: 2 }),
    failedHere: fc.option(fc.constant({ promotion: 7, what: 'it never became healthy.' }), { freq: 2 }),
    unchanged: fc.constantFrom(
      { kind: 'same' as const },
      { kind: 'unknown' as const, what: 'Its branch is being taken in.' },
      { kind: 'differs' as const, what: 'It is another image.', fix: 'Merge again.' },
    ),
  })
  .map(({ environment, ...rest }) => {
    return factsOf({ ...rest, environment: { ...environment, from: rest.predecessors.map(({ name }) => name) } });
  });
