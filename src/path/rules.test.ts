import fc from 'fast-check';
import { expect, test } from 'vitest';

import { headline } from './headline.ts';
import { orderOf, orderOfEditions } from './order.ts';
import type { PromotionState } from './promotion.ts';
import { planRollback, type TenureFacts } from './rollback.ts';
import { planRoutes } from './triggers.ts';
import { decideWhetherUnchanged } from './unchanged.ts';

function tenure(releaseId: string, patch: Partial<TenureFacts> = {}): TenureFacts {
  return {
    releaseId,
    fingerprint: `f-${releaseId}`,
    name: `#${releaseId}`,
    yanked: false,
    hasArtifacts: true,
    byRollback: false,
    ...patch,
  };
}

test('a rollback takes the newest release before with other artifacts', () => {
  const tenures = [tenure('3'), tenure('2', { fingerprint: 'f-3' }), tenure('1'), tenure('0')];
  expect(planRollback(tenures, 'f-3')).toEqual({ kind: 'target', releaseId: '1', name: '#1' });
  expect(planRollback(tenures, 'f-3', { to: '0' })).toEqual({ kind: 'target', releaseId: '0', name: '#0' });
});

test('a rollback passes over what is yanked or gone, and says why there is nothing', () => {
  const yanked = tenure('2', { yanked: true });
  expect(planRollback([tenure('3'), yanked, tenure('1')], 'f-3')).toMatchObject({ releaseId: '1' });
  expect(planRollback([tenure('3'), yanked], 'f-3')).toMatchObject({ reason: '#2, which ran before, is yanked.' });
  const gone = tenure('2', { hasArtifacts: false });
  expect(planRollback([tenure('3'), gone], 'f-3')).toMatchObject({
    reason: 'The artifacts of #2 are gone; `towpath build` with its number brings them back.',
  });
  expect(planRollback([tenure('2'), tenure('1')], null)).toMatchObject({ releaseId: '2' });
  expect(planRollback([], null)).toMatchObject({ reason: 'Nothing has been live here yet.' });
  expect(planRollback([tenure('3')], 'f-3')).toMatchObject({ reason: 'Nothing else has been live here before.' });
  expect(planRollback([tenure('3')], 'f-3', { to: '9' })).toMatchObject({
    reason: 'That release was never live here.',
  });
  expect(planRollback([tenure('3')], 'f-3', { to: '3' })).toMatchObject({ reason: 'That is what runs here now.' });
});

test('a rollback never brings back by itself what an earlier one stepped away from', () => {
  const tenures = [tenure('1', { byRollback: true }), tenure('2'), tenure('1'), tenure('0')];
  expect(planRollback(tenures, 'f-1')).toMatchObject({ releaseId: '0' });
  expect(planRollback(tenures, 'f-1', { to: '2' })).toMatchObject({ releaseId: '2' });
  expect(planRollback(tenures.slice(0, 3), 'f-1')).toMatchObject({
    kind: 'none',
    reason: expect.stringContaining('#2 ran before and was rolled back from'),
  });
  // somebody brought it in again, and something newer took its place
  expect(planRollback([tenure('3'), tenure('2'), ...tenures], 'f-3')).toMatchObject({ releaseId: '2' });
});

test('while a rollback is under way, another without a name asks for the same', () => {
  const tenures = [tenure('2'), tenure('1'), tenure('0')];
  expect(planRollback(tenures, 'f-2', { open: '1' })).toMatchObject({ releaseId: '1' });
  expect(planRollback(tenures, 'f-1', { open: '1' })).toMatchObject({ releaseId: '1' });
  expect(planRollback(tenures, 'f-1', { open: '1', to: '1' })).toMatchObject({ releaseId: '1' });
  expect(planRollback(tenures, 'f-1', { open: '1', to: '0' })).toMatchObject({ releaseId: '0' });
  const barred = [tenure('2'), tenure('1', { yanked: true }), tenure('0')];
  expect(planRollback(barred, 'f-2', { open: '1' })).toMatchObject({ releaseId: '0' });
});

test('where a change ended half way nothing is said to run, so its release may be asked for again', () => {
  const tenures = [tenure('2'), tenure('1')];
  expect(planRollback(tenures, 'f-3', { unsure: true })).toMatchObject({ releaseId: '2' });
  expect(planRollback(tenures, 'f-2', { unsure: true })).toMatchObject({ releaseId: '1' });
  expect(planRollback(tenures, 'f-2', { unsure: true, to: '2' })).toMatchObject({ releaseId: '2' });
});

test('a rollback never brings what is yanked, gone, or runs already', () => {
  const anyTenure = fc.record({
    releaseId: fc.constantFrom('1', '2', '3', '4'),
    fingerprint: fc.constantFrom('a', 'b', 'c'),
    name: fc.constant('one'),
    yanked: fc.boolean(),
    hasArtifacts: fc.boolean(),
    byRollback: fc.constant(false),
  });
  fc.assert(
    fc.property(fc.array(anyTenure), fc.constantFrom('a', 'b', null), (tenures, current) => {
      const target = planRollback(tenures, current);
      const usable = tenures.filter((one) => one.fingerprint !== current && !one.yanked && one.hasArtifacts);
      if (usable.length === 0) expect(target.kind).toBe('none');
      else expect(target).toMatchObject({ releaseId: usable[0]?.releaseId });
    }),
  );
});

test('order is ancestry, then the place on the default branch, and never a guess', () => {
  const apart = { currentIsAncestor: false, releaseIsAncestor: false };
  const at = (currentPosition: number | null, releasePosition: number | null) =>
    orderOf({ ...apart, currentPosition, releasePosition });
  expect(orderOf(null)).toBe('first');
  expect(orderOf({ ...apart, currentIsAncestor: true, currentPosition: 9, releasePosition: 1 })).toBe('newer');
  expect(orderOf({ ...apart, releaseIsAncestor: true, currentPosition: 1, releasePosition: 9 })).toBe('older');
  expect([at(3, 4), at(4, 3), at(4, 4), at(null, 4), at(4, null)]).toEqual([
    'newer',
    'older',
    'diverged',
    'diverged',
    'diverged',
  ]);
});

test('of one commit the later edition is the newer one', () => {
  expect([orderOfEditions(1, 2), orderOfEditions(2, 1), orderOfEditions(2, 2)]).toEqual(['newer', 'older', 'same']);
});

test('of two releases at most one is newer than the other', () => {
  const ancestry = fc.record({
    currentIsAncestor: fc.boolean(),
    releaseIsAncestor: fc.boolean(),
    currentPosition: fc.option(fc.nat(9)),
    releasePosition: fc.option(fc.nat(9)),
  });
  const turned = { first: 'first', same: 'same', newer: 'older', older: 'newer', diverged: 'diverged' } as const;
  fc.assert(
    fc.property(ancestry, (one) => {
      fc.pre(!(one.currentIsAncestor && one.releaseIsAncestor));
      const other = {
        currentIsAncestor: one.releaseIsAncestor,
        releaseIsAncestor: one.currentIsAncestor,
        currentPosition: one.releasePosition,
        releasePosition: one.currentPosition,
      };
      expect(orderOf(other)).toBe(turned[orderOf(one)]);
    }),
  );
});

const environments = {
  preview: { on: { kind: 'branch', pattern: '*' }, ephemeral: { ttlMs: 1 } },
  dev: { on: { kind: 'manual' } },
  qa: { on: { kind: 'merge', pattern: 'main' } },
  old: { on: { kind: 'release-branch', pattern: 'release-*' } },
  demo: { on: { kind: 'tag', pattern: 'rc-*' } },
  prod: { on: { kind: 'tag', pattern: 'v*' } },
  forks: { on: { kind: 'pull-request', pattern: 'forks' }, ephemeral: { ttlMs: 1 } },
} as const;

test.each([
  ['refs/heads/main', ['qa: merge to main']],
  ['refs/heads/feature', ['preview: push to feature']],
  ['refs/heads/release-1', ['preview: push to release-1', 'old: push to release-1']],
  ['refs/heads/v1', ['preview: push to v1']],
  ['refs/tags/v1.0.0', ['prod: tag v1.0.0']],
  ['refs/tags/rc-1', ['demo: tag rc-1']],
  ['refs/tags/main', []],
  ['refs/notes/commits', []],
  ['refs/pull/7/head', ['forks: pull request 7']],
  ['refs/merge-requests/7/head', ['forks: pull request 7']],
  ['refs/pull-requests/7/from', ['forks: pull request 7']],
  ['refs/pull/7/merge', []],
  ['refs/pull/0/head', []],
  ['refs/heads/pull/7/head', ['preview: push to pull/7/head']],
])('%s goes where the path says', (ref, expected) => {
  const routes = planRoutes(environments, ref, 'main');
  expect(routes.map(({ environment, cause }) => `${environment}: ${cause}`)).toEqual(expected);
  for (const { environment, previewBranch } of routes)
    expect(previewBranch).toBe(
      environment === 'preview'
        ? ref.slice('refs/heads/'.length)
        : environment === 'forks'
          ? 'pull request 7'
          : undefined,
    );
});

const web = { service: 'web', testedBefore: true, differences: [] };
const merge = { name: 'v1', refreshed: false, branchHead: null, coming: false, lacked: [] };

test('artifacts that were tested before are the same, whatever commit brings them', () => {
  expect(decideWhetherUnchanged({ ...merge, services: [web] })).toEqual({
    kind: 'same',
  });
});

test('after a refresh of base images a refusal names the moved pin, and how the artifacts get tested', () => {
  const services = [{ service: 'web', testedBefore: false, differences: ['the pin of node:22 moved'] }];
  expect(decideWhetherUnchanged({ ...merge, refreshed: true, services })).toEqual({
    kind: 'differs',
    what: 'Base images were refreshed, and no branch had the new artifacts of web (web: the pin of node:22 moved).',
    fix: 'Push a branch at this very commit, let it be tested there, then promote the release again.',
  });
});

test('while the branch is being taken in nothing is refused for what it may have had', () => {
  const services = [{ ...web, testedBefore: false }];
  const early = { ...merge, branchHead: 'b', coming: true };
  expect(decideWhetherUnchanged({ ...early, services })).toMatchObject({
    kind: 'unknown',
    what: expect.stringContaining('v1'),
  });
  expect(decideWhetherUnchanged({ ...early, services: [web] })).toEqual({ kind: 'same' });
});

test('a refusal names what differs and the commits that the branch lacked', () => {
  const lacked = Array.from({ length: 7 }, (_, index) => `abc000${index} Change ${index}`);
  const services = [web, { service: 'worker', testedBefore: false, differences: ['file a.js differs'] }];
  expect(decideWhetherUnchanged({ ...merge, branchHead: 'b', services, lacked })).toEqual({
    kind: 'differs',
    what: `v1 did not give the artifacts its branch was tested with (worker: file a.js differs). The branch lacked ${lacked.slice(0, 5).join('; ')} and 2 more.`,
    fix: 'Merge the target branch into the branch, let it be tested, then merge again.',
  });
  const direct = decideWhetherUnchanged({ ...merge, services: [{ ...web, testedBefore: false }] });
  expect(direct).toMatchObject({ kind: 'differs', what: 'v1 brought new artifacts of web that no branch had before.' });
});

test('every state of a promotion has a sentence', () => {
  const states: PromotionState[] = [
    'requested',
    'evaluating',
    'waiting',
    'tagging',
    'deploying',
    'verifying',
    'live',
    'failed',
    'superseded',
    'cancelled',
    'rolled-back',
  ];
  for (const state of states) expect(headline(state, {})).toMatch(/\.$|unknown|work/);
  const problem = { code: 'deploy.not-healthy', what: 'web answers 500.', fix: 'Read its log.' };
  expect(headline('rolled-back', { step: 'verifying', problem, to: '#3 (1234567)' })).toBe(
    'Failed at verifying: web answers 500. Rolled back to #3 (1234567).',
  );
  const quoted = { ...problem, what: 'GET / gave 500, not 200' };
  expect(headline('rolled-back', { step: 'verifying', problem: quoted, to: '#3' })).toBe(
    'Failed at verifying: GET / gave 500, not 200. Rolled back to #3.',
  );
  expect(
    headline('waiting', {
      reasons: [
        { gate: 'a', what: 'One.' },
        { gate: 'b', what: 'Two.' },
      ],
    }),
  ).toBe('One. Two.');
  expect(headline('cancelled', { by: 'bob' })).toBe('Cancelled by bob.');
});
