import { beforeEach, expect, test } from 'vitest';

import { environmentNamed, syncEnvironments } from '../environment/environment-store.ts';
import { PROJECT, seedProject, seedRelease } from '../release/testing/releases.ts';
import { releaseById } from '../release/release-store.ts';
import type { Store } from '../store/database.ts';
import { testStore } from '../store/testing.ts';
import { approvalsOf, recordApproval } from './approval-store.ts';
import { duePromotions, failureHere, lastEnded, openPromotions, promotionsOf } from './promotion-list-store.ts';
import { eventsOf, movePromotion, nextRun, promotionById, requestPromotion } from './promotion-store.ts';
import type { PromotionState } from './promotion.ts';

let store: Store;
let qa: string;
let release: string;

beforeEach(async () => {
  store = await testStore();
  await seedProject(store.db);
  await syncEnvironments(store.db, PROJECT, [{ name: 'qa', position: 0, definition: {} }]);
  qa = (await environmentNamed(store.db, PROJECT, 'qa')).id;
  release = await seedRelease(store.db, { commit: 'a'.repeat(40), keys: { web: 'k1' } });
});

function wish(automatic: boolean, releaseId = release) {
  return {
    projectId: PROJECT,
    environmentId: qa,
    releaseId,
    kind: 'promotion' as const,
    automatic,
    requestedBy: 'ana',
    cause: 'merge to main',
  };
}

async function walk(id: string, ...states: PromotionState[]): Promise<void> {
  for (const to of states) expect(await movePromotion(store.db, id, { to })).not.toBeNull();
}

test('who waits for the same as before gets no second entry in the history', async () => {
  const { id } = await requestPromotion(store.db, wish(true));
  await walk(id, 'evaluating');
  const reasons = [{ gate: 'approvals', what: 'It lacks an approval.', fix: 'Approve it.' }];
  for (let look = 0; look < 3; look++) await movePromotion(store.db, id, { to: 'waiting', detail: { reasons } });
  await movePromotion(store.db, id, { to: 'waiting', detail: { reasons: [{ gate: 'soak', what: 'It soaks.' }] } });
  expect((await eventsOf(store.db, id)).map(({ to, detail }) => [to, detail.reasons?.[0]?.gate])).toEqual([
    ['requested', undefined],
    ['evaluating', undefined],
    ['waiting', 'approvals'],
    ['waiting', 'soak'],
  ]);
});

test('automation that asks again gets the open one, also at the same moment; a person gets a new one', async () => {
  const asked = await Promise.all(
    Array.from({ length: 6 }, () => store.transaction((tx) => requestPromotion(tx, wish(true)))),
  );
  expect(new Set(asked.map(({ id }) => id)).size).toBe(1);
  expect((await requestPromotion(store.db, wish(false))).id).not.toBe(asked[0]?.id);
  await walk(asked[0]?.id ?? '', 'cancelled');
  expect((await requestPromotion(store.db, wish(true))).id).not.toBe(asked[0]?.id);
});

test('a promotion moves as the state machine says, and each move is in its story', async () => {
  const { id } = await requestPromotion(store.db, wish(true));
  expect(await movePromotion(store.db, id, { to: 'live' })).toBeNull();
  await walk(id, 'evaluating', 'waiting', 'tagging', 'deploying', 'verifying', 'live');
  expect(await movePromotion(store.db, id, { to: 'failed' })).toBeNull();
  expect((await promotionById(store.db, id))?.endedAt).not.toBeNull();
  expect((await eventsOf(store.db, id)).map(({ to }) => to)).toEqual([
    'requested',
    'evaluating',
    'waiting',
    'tagging',
    'deploying',
    'verifying',
    'live',
  ]);
});

test('of several that end it at once, one does', async () => {
  const { id } = await requestPromotion(store.db, wish(true));
  const ends = ['cancelled', 'superseded', 'refused', 'failed'] as const;
  const moves = await Promise.all(
    ends.map((to) => store.transaction((tx) => movePromotion(tx, id, { to, detail: { by: to } }))),
  );
  const done = moves.filter((move) => move !== null);
  expect(done).toHaveLength(1);
  expect(await promotionById(store.db, id)).toMatchObject({ state: done[0]?.state, detail: { by: done[0]?.state } });
});

test('a late writer with an older token is refused, and changes nothing', async () => {
  const { id } = await requestPromotion(store.db, wish(true));
  await walk(id, 'evaluating');
  expect(await movePromotion(store.db, id, { to: 'tagging', token: 5n })).toMatchObject({ token: 5n });
  expect(await movePromotion(store.db, id, { to: 'deploying', token: 4n })).toBeNull();
  expect(await promotionById(store.db, id)).toMatchObject({ state: 'tagging', token: 5n });
  expect(await movePromotion(store.db, id, { to: 'deploying', token: 6n })).toMatchObject({ token: 6n });
});

test('said twice is told once', async () => {
  const { id } = await requestPromotion(store.db, wish(true));
  await walk(id, 'evaluating');
  const waiting = { to: 'waiting', detail: { reasons: [{ gate: 'hold', what: 'On hold.' }] } } as const;
  await movePromotion(store.db, id, waiting);
  await movePromotion(store.db, id, waiting);
  await movePromotion(store.db, id, { ...waiting, detail: { reasons: [{ gate: 'soak', what: 'It soaks.' }] } });
  expect((await eventsOf(store.db, id)).map(({ to }) => to)).toEqual(['requested', 'evaluating', 'waiting', 'waiting']);
});

test('one that is at work is not looked at again, and its run stays the one that works', async () => {
  const { id } = await requestPromotion(store.db, wish(true));
  for (const run of [1, 2, 3]) expect(await nextRun(store.db, id)).toMatchObject({ run, kind: 'promotion' });
  await walk(id, 'evaluating');
  await movePromotion(store.db, id, { to: 'tagging', run: 2 });
  expect(await nextRun(store.db, id)).toBeNull();
  expect(await promotionById(store.db, id)).toMatchObject({ runs: 2 });
  await walk(id, 'cancelled');
  expect(await nextRun(store.db, id)).toBeNull();
});

test('what waits is due when its time has come, and is not due twice', async () => {
  const soon = await requestPromotion(store.db, wish(false));
  const later = await requestPromotion(store.db, wish(false));
  const forever = await requestPromotion(store.db, wish(false));
  for (const { id } of [soon, later, forever]) await walk(id, 'evaluating');
  await movePromotion(store.db, soon.id, { to: 'waiting', wakeAtMs: Date.now() - 1 });
  await movePromotion(store.db, later.id, { to: 'waiting', wakeAtMs: Date.now() + 60_000 });
  await movePromotion(store.db, forever.id, { to: 'waiting' });
  expect(await duePromotions(store.db, 10)).toEqual([soon.id]);
  await nextRun(store.db, soon.id);
  expect(await duePromotions(store.db, 10)).toEqual([]);
});

test('artifacts that failed are barred under any release, until somebody brought them in', async () => {
  const twin = await seedRelease(store.db, { commit: 'b'.repeat(40), keys: { web: 'k1' } });
  const fingerprint = (await releaseById(store.db, twin))?.fingerprint ?? '';
  const barred = (circumstances = 'as it was') => failureHere(store.db, qa, fingerprint, circumstances);
  expect(await barred()).toBeNull();
  const bad = await requestPromotion(store.db, wish(true));
  const problem = { code: 'x', what: 'it never became healthy.', fix: 'Fix it.' };
  await movePromotion(store.db, bad.id, { to: 'rolled-back', detail: { problem }, failedUnder: 'as it was' });
  expect(await barred()).toEqual({ promotion: bad.number, what: problem.what });
  const cancelled = await requestPromotion(store.db, wish(true, twin));
  await walk(cancelled.id, 'cancelled');
  expect(await barred()).not.toBeNull();
  const good = await requestPromotion(store.db, wish(false, twin));
  await walk(good.id, 'evaluating', 'tagging', 'deploying', 'verifying', 'live');
  expect(await barred()).toBeNull();
});

test('a failure bars under what it happened under, and one of the surroundings bars nothing', async () => {
  const fingerprint = (await releaseById(store.db, release))?.fingerprint ?? '';
  const barred = (circumstances: string) => failureHere(store.db, qa, fingerprint, circumstances);
  const { id, number } = await requestPromotion(store.db, wish(true));
  await movePromotion(store.db, id, { to: 'failed', failedUnder: 'one' });
  const other = await requestPromotion(store.db, wish(true));
  await movePromotion(store.db, other.id, { to: 'failed' });
  expect(await barred('two')).toBeNull();
  expect(await barred('one')).toMatchObject({ promotion: number });
});

test('a person has one voice, and the last word counts', async () => {
  const { id } = await requestPromotion(store.db, wish(true));
  await recordApproval(store.db, id, { by: 'bob', verdict: 'approved', comment: null, circumstances: 'c' });
  await recordApproval(store.db, id, { by: 'eve', verdict: 'approved', comment: 'fine', circumstances: 'c' });
  await recordApproval(store.db, id, { by: 'bob', verdict: 'rejected', comment: 'I looked again', circumstances: 'c' });
  expect(await approvalsOf(store.db, id)).toMatchObject([
    { by: 'eve', verdict: 'approved' },
    { by: 'bob', verdict: 'rejected', comment: 'I looked again' },
  ]);
});

test('lists give pages of all, those that are open, and how each environment ended last', async () => {
  const made = [];
  for (let count = 0; count < 5; count++) made.push(await requestPromotion(store.db, wish(false)));
  await walk(made[0]?.id ?? '', 'refused');
  await walk(made[3]?.id ?? '', 'cancelled');
  await walk(made[1]?.id ?? '', 'superseded');
  const first = await promotionsOf(store.db, { projectId: PROJECT, environmentId: qa }, 3);
  const second = await promotionsOf(
    store.db,
    { projectId: PROJECT, releaseId: release, before: first.at(-1)?.number ?? 0 },
    3,
  );
  expect([...first, ...second].map(({ id }) => id)).toEqual(made.map(({ id }) => id).toReversed());
  expect((await openPromotions(store.db, [qa])).map(({ id }) => id)).toEqual([made[4]?.id, made[2]?.id]);
  expect((await lastEnded(store.db, [qa])).map(({ id }) => id)).toEqual([made[3]?.id]);
});
