import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import type { ContractFacts, NamedAnswer, PairFacts, PromotionFacts } from './facts.ts';
import { decidePromotion, explainPromotion } from './policy.ts';
import { answerOf, factsOf } from './testing/facts.ts';

type Verdict = 'passed' | 'failed' | 'error' | null;

const GATES = [{ kind: 'can-i-deploy' }] as const;
const asking = (...questions: string[]) => [{ check: 'can-i-deploy', questions }];

function written(verdict: Verdict, more: Partial<NamedAnswer> = {}): NamedAnswer {
  return { ...answerOf(verdict, { summary: 'so it was' }), check: 'expects', there: null, ...more };
}

function pair(verdict: Verdict, more: Partial<PairFacts> = {}, answer: Partial<NamedAnswer> = {}): PairFacts {
  const verified = [{ ...written(verdict), service: 'api', check: 'contracts', ...answer }];
  return { consumer: 'web', provider: 'api', pact: '1f2e3d4c5b', consumerThere: null, verified, ...more };
}

function decide(contracts: Partial<ContractFacts> | null, automatic = false) {
  return decidePromotion(factsOfContracts(contracts, automatic));
}

function factsOfContracts(contracts: Partial<ContractFacts> | null, automatic: boolean): PromotionFacts {
  return factsOf({
    promotion: { automatic },
    environment: { name: 'qa.shop', gates: GATES },
    contracts: contracts === null ? null : { written: [written('passed')], pairs: [], ...contracts },
  });
}

test.each<[string, Partial<ContractFacts>, RegExp]>([
  ['nothing', {}, /^Nothing of 4f2a91c has a contract with what would run in qa\.$/],
  ['what keeps to it', { pairs: [pair('passed')] }, /^api keeps to what web expects\.$/],
  [
    'what keeps to it there',
    { pairs: [pair('passed', {}, { there: 'v1' })] },
    /^api of v1, which runs in qa, keeps to what web expects\.$/,
  ],
])('with %s a release may go', (_, contracts, words) => {
  expect(decide(contracts)).toEqual({ kind: 'go' });
  const [finding] = explainPromotion(factsOfContracts(contracts, false));
  expect(finding).toMatchObject({
    verdict: 'pass',
    reason: { gate: 'can-i-deploy', what: expect.stringMatching(words) as string },
  });
});

test.each<[string, Partial<ContractFacts>, RegExp, RegExp, 'refuse' | 'wait']>([
  [
    'breaks what comes with it',
    { pairs: [pair('failed')] },
    /^api does not keep to what web expects \(contracts\): so it was$/,
    /^Let api answer as web expects, .*`towpath logs 4f2a91c contracts\/web@1f2e3d4` shows/,
    'refuse',
  ],
  [
    'breaks what runs there',
    { pairs: [pair('failed', { consumerThere: 'v1' })] },
    /^api does not keep to what web of v1, which runs in qa, expects/,
    /^Let api answer/,
    'refuse',
  ],
  [
    'expects what runs there does not do',
    { pairs: [pair('failed', {}, { there: 'v1' })] },
    /^api of v1, which runs in qa, does not keep to what web expects/,
    /^Promote a release whose api answers so to qa first, .*`towpath logs v1 contracts\/web@1f2e3d4`/,
    'refuse',
  ],
  [
    'could not be verified',
    { pairs: [pair('error')] },
    /^Whether api keeps to what web expects could not be found out \(contracts\): so it was$/,
    /asks it again/,
    'refuse',
  ],
  [
    'has a check that failed',
    { written: [written('failed')] },
    /^What web expects of others is not known, for expects failed: so it was$/,
    /towpath test 4f2a91c expects/,
    'refuse',
  ],
  [
    'expects something of nobody',
    { pairs: [pair(null, { verified: null })] },
    /^web expects something of api, which does not run in qa\.$/,
    /^Promote api to qa first/,
    'wait',
  ],
  [
    'is verified by nobody',
    { pairs: [pair(null, { verified: [] })] },
    /no check says that api keeps to it/,
    /^Give api a check/,
    'refuse',
  ],
  [
    'is verified in other words',
    { pairs: [pair('passed', {}, { asked: 'otherwise', differs: ['pact'] })] },
    /^What 4f2a91c says of contracts does not count in qa: main asks contracts of api with another pact\.$/,
    /^Merge the change/,
    'wait',
  ],
  [
    'expects in other words',
    { written: [written(null, { asked: 'only-there' })] },
    /main asks expects of web and this release does not/,
    /^Merge the change/,
    'wait',
  ],
])('a release that %s may not go, and is told why', (_, contracts, what, fix, byItself) => {
  const reason = {
    gate: 'can-i-deploy',
    what: expect.stringMatching(what) as string,
    fix: expect.stringMatching(fix) as string,
  };
  expect(decide(contracts)).toMatchObject({ kind: 'refuse', reasons: [reason] });
  expect(decide(contracts, true)).toMatchObject({ kind: byItself, ...(byItself === 'wait' ? { checks: [] } : {}) });
});

test('what is not known is asked, and waited for', () => {
  expect(decide({ written: [written(null, { question: 'q1' })] })).toMatchObject({
    kind: 'wait',
    checks: asking('q1'),
  });
  expect(decide({ pairs: [pair('passed'), pair(null, {}, { question: 'q2' })] })).toMatchObject({
    kind: 'wait',
    checks: asking('q2'),
  });
  // a failure is told at once, also beside what is open
  expect(decide({ pairs: [pair('failed'), pair(null)] })).toMatchObject({ kind: 'refuse' });
});

test('a yes that is taken away, hidden or asked otherwise is none any more', () => {
  const worse: readonly ((answer: NamedAnswer) => NamedAnswer)[] = [
    (answer) => ({ ...answer, latest: null }),
    (answer) => ({ ...answer, latest: answer.latest && { ...answer.latest, verdict: 'failed' } }),
    (answer) => ({ ...answer, latest: answer.latest && { ...answer.latest, verdict: 'error' } }),
    (answer) => ({ ...answer, asked: 'otherwise', differs: ['pact'] }),
  ];
  const anyPairs = fc.array(
    fc.record({ there: fc.option(fc.constant('v1')), checks: fc.integer({ min: 1, max: 3 }) }),
    { minLength: 1, maxLength: 4 },
  );
  fc.assert(
    fc.property(
      anyPairs,
      fc.nat(),
      fc.nat(),
      fc.constantFrom(...worse),
      fc.boolean(),
      (wished, i, j, make, automatic) => {
        const pairs = wished.map(({ there, checks }) =>
          pair('passed', { verified: Array.from({ length: checks }, () => written('passed', { there })) }),
        );
        expect(decide({ pairs }, automatic).kind).toBe('go');
        const spoilt = pairs.map((one, at) =>
          at === i % pairs.length
            ? {
                ...one,
                verified: (one.verified ?? []).map((answer, k, all) => (k === j % all.length ? make(answer) : answer)),
              }
            : one,
        );
        expect(decide({ pairs: spoilt }, automatic).kind).not.toBe('go');
      },
    ),
    cases(200),
  );
});
