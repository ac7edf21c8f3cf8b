import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import { PROMOTION_STATES } from '../path/promotion.ts';
import { contextOf, keyOf } from './notice.ts';
import { linkTo, planBuildNotice, planDeploymentNotice, type PromotionFacts, type ReleaseFacts } from './plan.ts';
import { lineWithin, nameWithin } from './text.ts';

const link = linkTo('https://towpath.example/', 'shop');

const release: ReleaseFacts = {
  commit: 'c'.repeat(40),
  number: 12,
  ref: 'refs/heads/main',
  state: 'building',
  problem: null,
  services: [
    { service: 'api', state: 'built', commit: 'c', builtFor: 'b' },
    { service: 'web', state: 'building', commit: 'c', builtFor: 'c' },
  ],
};

const promotion: PromotionFacts = {
  id: 'pro_1',
  number: 7,
  kind: 'promotion',
  state: 'live',
  detail: {},
  release,
  environment: { name: 'qa', preview: false },
  begun: true,
  runs: 'this',
  url: 'https://qa.example',
};

test('a build is told by what is built, what came of it, and where to read more', () => {
  expect(planBuildNotice(release, link)).toMatchObject({
    state: 'pending',
    description: 'Release #12: builds web.',
    url: 'https://towpath.example/#project=shop&why=%2312',
  });
  expect(planBuildNotice({ ...release, state: 'ready' }, link)).toMatchObject({
    state: 'success',
    description: 'Release #12: built web.',
  });
  const problem = { code: 'release.build-failed', what: '"web" has no artifact.', fix: 'Read its log.' };
  expect(planBuildNotice({ ...release, state: 'failed', problem }, link)).toMatchObject({
    state: 'failure',
    description: 'Release #12: "web" has no artifact.',
  });
});

test('a commit that changed nothing is green at once, and says that everything was there', () => {
  const services = release.services.filter(({ service }) => service === 'api');
  expect(planBuildNotice({ ...release, state: 'ready', services }, link).description).toBe(
    'Release #12: every artifact was there.',
  );
});

test('a promotion is told of when its work begins, whatever it waited for before', () => {
  const stateAt = (state: PromotionFacts['state'], more: Partial<PromotionFacts> = {}) =>
    planDeploymentNotice({ ...promotion, state, ...more }, link)?.state ?? null;
  expect(PROMOTION_STATES.map((state) => [state, stateAt(state)])).toEqual([
    ['requested', null],
    ['evaluating', null],
    ['waiting', null],
    ['tagging', 'pending'],
    ['deploying', 'pending'],
    ['verifying', 'pending'],
    ['live', 'success'],
    ['refused', null],
    ['failed', 'failure'],
    ['superseded', 'cancelled'],
    ['cancelled', 'cancelled'],
    ['rolled-back', 'failure'],
  ]);
  expect(stateAt('cancelled', { begun: false })).toBeNull();
  expect(stateAt('live', { runs: 'other' })).toBe('replaced');
  expect(stateAt('live', { runs: 'nothing' })).toBe('removed');
  expect(stateAt('live', { kind: 'removal' })).toBeNull();
});

test('the whole of the work is one thing to tell, and only what runs has an address', () => {
  const at = (state: PromotionFacts['state']) => planDeploymentNotice({ ...promotion, state }, link);
  expect(at('tagging')).toEqual(at('verifying'));
  expect(at('verifying')?.environmentUrl).toBeNull();
  expect(at('live')?.environmentUrl).toBe('https://qa.example');
});

test('hosts without deployments show one status per commit and environment; the others each promotion', () => {
  const first = planDeploymentNotice(promotion, link);
  const second = planDeploymentNotice({ ...promotion, id: 'pro_2' }, link);
  if (first === null || second === null) throw new Error('Both are told of.');
  expect(keyOf(first, { deployments: false })).toBe(keyOf(second, { deployments: false }));
  expect(keyOf(first, { deployments: true })).not.toBe(keyOf(second, { deployments: true }));
  expect(contextOf(first)).toBe('towpath/qa');
});

test('a text fits on one line of its length, and a name that is cut is shared by no other', () => {
  const any = fc.string({ unit: 'binary', maxLength: 100 });
  fc.assert(
    fc.property(any, any, fc.integer({ min: 20, max: 60 }), (one, other, most) => {
      expect(lineWithin(one, most).length).toBeLessThanOrEqual(most);
      expect(lineWithin(one, most)).not.toMatch(/[\n\r]|[\uD800-\uDBFF]$/);
      expect(nameWithin(one, most).length).toBeLessThanOrEqual(most);
      if (one !== other) expect(nameWithin(one, most)).not.toBe(nameWithin(other, most));
    }),
    cases(200),
  );
});
