import fc from 'fast-check';
import { expect, test } from 'vitest';

import { chainOf } from '../attestation/chain.ts';
import type { Claim } from '../attestation/predicates.ts';
import { cases } from '../lib/testing/cases.ts';
import { sha256Hex } from '../lib/digest.ts';
import { decideStated } from './decide-stated.ts';
import type { AnswerFacts, ContractFacts, NamedAnswer, PromotionFacts } from './facts.ts';
import { decidePromotion, explainPromotion, type Finding } from './policy.ts';
import { anyAnswer, anyFacts, NOW } from './testing/facts.ts';
import {
  answerClaim,
  barClaim,
  liveClaim,
  policyOfFacts,
  SERVICES,
  textsOf,
  verifiedOf,
  voiceClaim,
} from './testing/stated.ts';

const anyContracts: fc.Arbitrary<ContractFacts> = fc
  .record({
    written: fc.array(fc.record({ service: fc.constantFrom(...SERVICES), answer: anyAnswer }), { maxLength: 2 }),
    pairs: fc.array(
      fc.record({
        consumer: fc.constantFrom('web', 'api', 'shop'),
        provider: fc.constantFrom(...SERVICES, 'bank'),
        verified: fc.option(fc.array(anyAnswer, { maxLength: 2 }), { freq: 5 }),
      }),
      { maxLength: 3 },
    ),
  })
  .map(({ written, pairs }) => ({
    written: written.map(({ service, answer }, i) => named(answer, service, `expects ${i}`)),
    pairs: pairs.map(({ consumer, provider, verified }, i) => ({
      consumer,
      provider,
      pact: `pact ${i}`,
      consumerThere: consumer === 'shop' ? 'v1.0.0' : null,
      verified: verified && verified.map((answer, j) => named(answer, provider, `keeps ${i} ${j}`)),
    })),
  }));

function named(answer: AnswerFacts, service: string, check: string): NamedAnswer {
  const isOurs = SERVICES.some((one) => one === service);
  return {
    ...answer,
    asked: answer.asked === 'only-there' ? 'otherwise' : answer.asked,
    service,
    check,
    question: `${check} of ${service}`,
    there: isOurs ? null : 'v1.0.0',
  };
}

function contractAnswers({ contracts }: PromotionFacts): readonly NamedAnswer[] {
  return [...(contracts?.written ?? []), ...(contracts?.pairs ?? []).flatMap(({ verified }) => verified ?? [])];
}

/**
 * Facts as they are for a person who asks for a release of two images and a base, each asked a check once. Most of what they
 * say is yes, for one no hides what else is wrong.
 */
const anyState: fc.Arbitrary<PromotionFacts> = fc
  .record({
    facts: anyFacts,
    contracts: fc.option(anyContracts, { freq: 1 }),
    services: fc.infiniteStream(fc.constantFrom('web', 'api', 'base')),
    isYes: fc.infiniteStream(fc.constantFrom(true, true, true, false)),
  })
  .map(({ facts, contracts, services, isYes }): PromotionFacts => {
    const { release, environment, approvals, predecessors, unchanged } = facts;
    const yes = <T>(fact: T, good: Partial<T>): T => (isYes.next().value === true ? { ...fact, ...good } : fact);
    const answerOf = (check: string, answer: AnswerFacts): AnswerFacts => {
      const service = services.next().value ?? 'web';
      if (answer.asked === 'only-there') return { ...answer, service, question: null, latest: null };
      const latest = answer.latest && yes(answer.latest, { verdict: 'passed' });
      return { ...answer, service, question: `${check} of ${service}`, latest };
    };
    const eachOnce = (answers: AnswerFacts[]) => [...new Map(answers.map((one) => [one.service, one])).values()];
    return {
      ...facts,
      promotion: { kind: 'promotion', automatic: false, requestedBy: 'somebody' },
      environment: {
        ...environment,
        gates: [
          ...environment.gates.filter(({ kind }) => kind !== 'freeze' || isYes.next().value !== true),
          ...(contracts === null ? [] : [{ kind: 'can-i-deploy' as const }]),
        ],
      },
      release: yes({ ...release, state: 'ready' as const, problem: null, nearest: [] }, { yanked: null, mixed: false }),
      evidence: Object.fromEntries(
        Object.entries(facts.evidence).map(([check, answers]) => [
          check,
          eachOnce(answers.map((answer) => answerOf(check, yes(answer, { asked: 'same' })))),
        ]),
      ),
      approvals: approvals.map((voice) => yes(voice, { verdict: 'approved', at: NOW - 1 })),
      predecessors: predecessors.map((one) => (one.ranMs === null ? one : yes(one, { ranMs: 0 }))),
      contracts,
      unchanged: isYes.next().value === true ? { kind: 'same' } : unchanged,
    };
  });

interface Stated {
  readonly facts: PromotionFacts;
  /** Service -> what is stated of its image, in some order, amid what says nothing of it. */
  readonly claims: Readonly<Record<string, readonly Claim[]>>;
}

/** What a server with these facts has stated by now. */
const anyStated: fc.Arbitrary<Stated> = fc
  .record({
    facts: anyState,
    /** A yank is in the terms, or is stated beside them; so is where something lived. */
    isYankStated: fc.boolean(),
    isLifeStated: fc.boolean(),
    noise: fc.boolean(),
    order: fc.infiniteStream(fc.nat(1000)),
  })
  .map(({ facts, isYankStated, isLifeStated, noise, order }) => {
    const { release, predecessors } = facts;
    const asStated: PromotionFacts = {
      ...facts,
      release: { ...release, yanked: isYankStated ? null : release.yanked },
      predecessors: predecessors.map((one) => (isLifeStated && one.ranMs === 0 ? { ...one, ranMs: null } : one)),
    };
    const claimsOf = (service: string): Claim[] => {
      const asked = Object.entries(facts.evidence).flatMap(([check, answers]) =>
        answers.map((answer) => ({ ...answer, check })),
      );
      const own = [...asked, ...contractAnswers(facts)].flatMap(({ check, service: its, question, latest }) =>
        its !== service || latest === null || question === null
          ? []
          : [
              ...(noise ? [answerClaim('failed', { check, service, question, at: latest.at - 1 })] : []),
              answerClaim(latest.verdict, {
                check,
                service,
                question,
                at: latest.at,
                untilMs: latest.untilMs ?? null,
              }),
            ],
      );
      const voices = facts.approvals.flatMap((voice) => [
        ...(noise ? [voiceClaim({ ...voice, verdict: 'rejected', at: voice.at - 1 })] : []),
        voiceClaim(voice),
      ]);
      const lived = predecessors.flatMap(({ name, ranMs }) => (isLifeStated && ranMs === 0 ? [liveClaim(name)] : []));
      const others = [
        answerClaim('passed', { service, question: 'another' }),
        voiceClaim({ by: 'bob', verdict: 'approved', at: NOW, comment: null, forThis: true }, 'pro_0'),
        barClaim('yanked', 'not this', sha256Hex('others')),
        ...predecessors.map(({ name }) => liveClaim(name, sha256Hex('others'))),
      ];
      const policy = policyOfFacts(asStated, service);
      const shuffled = [...own, ...voices, ...lived, ...(noise ? others : []), policy]
        .map((claim) => ({ claim, at: order.next().value ?? 0 }))
        .toSorted((one, other) => one.at - other.at)
        .map(({ claim }) => claim);
      const yanks = isYankStated && release.yanked !== null ? [barClaim('yanked', release.yanked)] : [];
      return [...(noise ? [barClaim('yanked'), barClaim('unyanked')] : []), ...shuffled, ...yanks];
    };
    return { facts, claims: Object.fromEntries(SERVICES.map((service) => [service, claimsOf(service)])) };
  });

function decide(claims: readonly Claim[], service = 'web', environment = 'prod') {
  const name = `shop/${service}`;
  return decideStated(chainOf(verifiedOf(textsOf(claims, { name })), name), { environment, now: NOW });
}

const RANK = { pass: 0, go: 0, wait: 1, refuse: 2 };

/** Of each condition the worst that was found. */
function worst(findings: readonly Finding[]): Record<string, string> {
  const found: Record<string, Finding['verdict']> = {};
  for (const { verdict, reason } of findings)
    if (verdict !== 'pass' && RANK[verdict] > RANK[found[reason.gate] ?? 'pass']) found[reason.gate] = verdict;
  return found;
}

test('what is decided of the images of a release is what the server decides of the release, condition by condition', () => {
  fc.assert(
    fc.property(anyStated, ({ facts, claims }) => {
      const each = SERVICES.map((service) => decide(claims[service] ?? [], service));
      expect(worst(each.flatMap(({ findings }) => findings))).toEqual(worst(explainPromotion(facts)));
      const verdicts = each.map(({ verdict }) => verdict).toSorted((one, other) => RANK[other] - RANK[one]);
      expect(verdicts[0]).toBe(decidePromotion(facts).kind);
    }),
    cases(200),
  );
});

test('whatever is stated in addition that says no makes it no better', () => {
  const anyNo = fc.oneof(
    fc
      .record({
        check: fc.constantFrom('unit', 'smoke'),
        verdict: fc.constantFrom('failed' as const, 'error' as const),
      })
      .map(({ check, verdict }) => answerClaim(verdict, { check, question: `${check} of web`, at: NOW })),
    fc
      .constantFrom('ana', 'bob', 'eve')
      .map((by) => voiceClaim({ by, verdict: 'rejected', at: NOW, comment: null, forThis: true })),
    fc.constant(barClaim('yanked')),
    fc.constant({ ...barClaim('yanked'), predicateType: 'https://towpath.dev/unheard-of/v1' } as unknown as Claim),
  );
  fc.assert(
    fc.property(anyStated, anyNo, ({ claims: { web = [] } }, no) => {
      expect(RANK[decide([...web, no]).verdict]).toBeGreaterThanOrEqual(RANK[decide(web).verdict]);
    }),
    cases(100),
  );
});

test('whatever is hidden, it is refused; at the end it is what it was, and no more than that, until the terms are too old', () => {
  fc.assert(
    fc.property(anyStated, fc.infiniteStream(fc.boolean()), fc.nat(40), ({ claims: { web = [] } }, hides, cut) => {
      const texts = textsOf(web);
      const question = { environment: 'prod', now: NOW };
      const left = verifiedOf(texts.filter(() => hides.next().value !== true));
      const whole = verifiedOf(texts.slice(0, left.length));
      const isEnd = JSON.stringify(left) === JSON.stringify(whole);
      if (!isEnd) {
        const { verdict, findings } = decideStated(chainOf(left, 'shop/web'), question);
        expect({ verdict, gates: findings.map(({ reason }) => reason.gate) }).toEqual({
          verdict: 'refuse',
          gates: ['statements'],
        });
      }
      const before = verifiedOf(texts.slice(0, cut));
      const then = decideStated(chainOf(before, 'shop/web'), question);
      expect(then).toEqual(decide(web.slice(0, cut)));
      const later = decideStated(chainOf(before, 'shop/web'), {
        ...question,
        now: NOW + 3_600_001,
        maxAgeMs: 3_600_000,
      });
      expect(later.verdict).not.toBe('go');
    }),
    cases(100),
  );
});
