import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { planRetention, type RetainedRepository, type RetainingEnvironment } from './retention.ts';

const web = 'shop/web';
const pin = (release: number) => ({ release, repository: web, builtIn: web, digest: sha256(`image ${release}`) });
const prod: RetainingEnvironment = {
  name: 'prod',
  slug: 'prod-11111111',
  removed: false,
  pins: [pin(7), pin(6)],
  busy: [8],
};
const preview: RetainingEnvironment = {
  name: 'preview-x',
  slug: 'x-22222222',
  removed: true,

  pins: [],
  busy: [],
};

test('pins beyond the rollback window go; those in it and those of a release on its way stay', () => {
  const tags = ['keep-prod-11111111-5', 'keep-prod-11111111-6', 'keep-prod-11111111-7', 'keep-prod-11111111-8'];
  expect(planRetention([prod], seen(tags))).toEqual({
    remove: [{ repository: web, tag: 'keep-prod-11111111-5' }],
    add: [],
  });
});

test('a pin that is missing comes back', () => {
  const plan = planRetention([prod], seen(['keep-prod-11111111-7']));
  expect(plan.add).toEqual([{ repository: web, tag: 'keep-prod-11111111-6', digest: pin(6).digest }]);
});

test('an environment that is gone leaves no names behind, unless one of its name is back', () => {
  const tags = ['env-preview-x', 'keep-x-22222222-3', 'env-prod'];
  expect(removed([prod, preview], tags)).toEqual(['env-preview-x', 'keep-x-22222222-3']);
  const back = { ...preview, removed: false, pins: [pin(3)] };
  expect(removed([prod, preview, back], tags)).toEqual([]);
});

test('the name under which a build delivered goes when no build is at work there', () => {
  const tags = ['incoming-0123456789abcdef'];
  expect(removed([prod], tags)).toEqual(tags);
  expect(planRetention([prod], { ...seen(tags), building: true }).remove).toEqual([]);
});

test('what is none of ours stays: branches, commits, git tags, pins of other projects', () => {
  const tags = [
    'main-0a1b2c3d',
    '0123456789ab',
    'v1.0.0',
    'latest',
    'keep-other-99999999-1',
    'env-qa',
    'incoming-v1.0',
  ];
  expect(removed([prod, preview], tags)).toEqual([]);
});

test('whatever is there, a second look finds nothing to do, and no pin that is wanted is ever removed', () => {
  const anyTag = fc.oneof(
    fc.integer({ min: 1, max: 12 }).map((release) => `keep-prod-11111111-${release}`),
    fc.integer({ min: 1, max: 12 }).map((release) => `keep-x-22222222-${release}`),
    fc.constantFrom('env-prod', 'env-preview-x', 'v1', 'incoming-abc'),
  );
  fc.assert(
    fc.property(fc.uniqueArray(anyTag), fc.subarray([5, 6, 7]), (tags, pinned) => {
      const environments = [{ ...prod, pins: pinned.map(pin) }, preview];
      const { remove, add } = planRetention(environments, seen(tags));
      const gone = new Set(remove.map(({ tag }) => tag));
      const after = [...tags.filter((tag) => !gone.has(tag)), ...add.map(({ tag }) => tag)];
      expect(planRetention(environments, seen(after))).toEqual({ remove: [], add: [] });
      for (const release of pinned) expect(after).toContain(`keep-prod-11111111-${release}`);
    }),
  );
});

function seen(tags: readonly string[]): RetainedRepository {
  return { repository: web, tags, building: false };
}

function removed(environments: readonly RetainingEnvironment[], tags: readonly string[]): string[] {
  return planRetention(environments, seen(tags)).remove.map(({ tag }) => tag);
}
