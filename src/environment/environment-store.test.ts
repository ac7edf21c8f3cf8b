import { sql } from 'kysely';
import { beforeEach, expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { seedProject, seedRelease, PROJECT, REPOSITORY } from '../release/testing/releases.ts';
import { yankRelease } from '../release/yank-store.ts';
import type { Store } from '../store/database.ts';
import { testStore } from '../store/testing.ts';
import { endings, recordEmptied, recordRemoved } from './ending-store.ts';
import { endpointsFor } from './endpoint-store.ts';
import {
  clearHold,
  ensurePreview,
  environmentById,
  environmentNamed,
  environmentsOf,
  setHold,
  syncEnvironments,
} from './environment-store.ts';
import { ranFor, recordLive, tenuresOf } from './tenure-store.ts';

let store: Store;

beforeEach(async () => {
  store = await testStore();
  await seedProject(store.db);
});

async function place(name: string) {
  await syncEnvironments(store.db, PROJECT, [{ name, position: 0, definition: {} }]);
  return (await environmentNamed(store.db, PROJECT, name)).id;
}

/** A promotion's row and its turn in the environment. */
async function bring(environmentId: string, releaseId: string, id: string, services = ['web']): Promise<void> {
  await store.db
    .insertInto('promotion')
    .values({
      id,
      project_id: PROJECT,
      environment_id: environmentId,
      release_id: releaseId,
      kind: 'promotion',
      automatic: true,
      requested_by: 'ana',
      cause: 'test',
      state: 'live',
      log_id: id,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await recordLive(store.db, {
    environmentId,
    releaseId,
    promotionId: id,
    services: services.map((service) => ({ service, digest: sha256(releaseId), url: null })),
  });
}

function preview(branch: string, expiresAt = new Date(Date.now() + 60_000)) {
  const ref = `refs/heads/${branch}`;
  return { projectId: PROJECT, template: 'preview', branch, ref, position: 0, definition: {}, expiresAt };
}

test('environments follow the path; one that is named no more ends when nothing runs or works in it', async () => {
  const wanted = ['dev', 'qa', 'prod'].map((name, position) => ({ name, position, definition: { name } }));
  await Promise.all([1, 2, 3].map(() => store.transaction((tx) => syncEnvironments(tx, PROJECT, wanted))));
  const before = await environmentsOf(store.db, PROJECT);
  expect(before.map(({ name }) => name)).toEqual(['dev', 'qa', 'prod']);
  const release = await seedRelease(store.db, { commit: 'a'.repeat(40), keys: { web: 'k1' } });
  await bring(before[0]?.id ?? '', release, 'pro_1');
  await syncEnvironments(store.db, PROJECT, [{ name: 'prod', position: 0, definition: { name: 'new' } }]);
  const after = await environmentsOf(store.db, PROJECT);
  expect(after.map(({ name, unnamedAt }) => [name, unnamedAt === null])).toEqual([
    ['prod', true],
    ['dev', false],
    ['qa', false],
  ]);
  expect(after[0]).toMatchObject({ id: before[2]?.id, definition: { name: 'new' } });
  const [dev, qa] = after.slice(1).map(({ id }) => id);
  expect(await endings(store.db)).toEqual([{ id: qa, removal: 0, gone: true }]);
  await bring(qa ?? '', release, 'pro_2');
  await recordEmptied(store.db, qa ?? '');
  await store.db.updateTable('promotion').set({ state: 'deploying' }).where('id', '=', 'pro_2').execute();
  expect(await endings(store.db)).toEqual([]);
  await recordEmptied(store.db, dev ?? '');
  expect(await endings(store.db)).toMatchObject([{ id: dev }]);
  await syncEnvironments(store.db, PROJECT, wanted);
  expect(await endings(store.db)).toEqual([]);
});

test('an environment that is not there is refused with the names of those that are', async () => {
  await place('qa');
  await expect(environmentNamed(store.db, PROJECT, 'qaa')).rejects.toMatchObject({
    code: 'environment.unknown',
    fix: 'Name one of: qa.',
  });
});

test('a hold is kept with its reason until it is lifted, once', async () => {
  const id = await place('qa');
  const hold = { reason: 'audit', by: 'olga', since: '2026-05-20T12:00:00.000Z' };
  await setHold(store.db, id, hold);
  expect((await environmentById(store.db, id)).hold).toEqual(hold);
  expect([await clearHold(store.db, id), await clearHold(store.db, id)]).toEqual([true, false]);
});

test('the time that artifacts ran is added up over all their turns, whichever release brought them', async () => {
  const id = await place('qa');
  const one = await seedRelease(store.db, { commit: 'a'.repeat(40), keys: { web: 'k1' } });
  const docsOnly = await seedRelease(store.db, { commit: 'b'.repeat(40), keys: { web: 'k1' } });
  const other = await seedRelease(store.db, { commit: 'c'.repeat(40), keys: { web: 'k2' } });
  const fingerprint = (await tenures(id, one, 'pro_1'))[0]?.fingerprint ?? '';
  await bring(id, other, 'pro_2');
  await bring(id, docsOnly, 'pro_3');
  await sql`update tenure set began_at = now() - interval '9 hours', ended_at = now() - interval '8 hours' where promotion_id = 'pro_1'`.execute(
    store.db,
  );
  await sql`update tenure set began_at = now() - interval '30 minutes' where promotion_id = 'pro_3'`.execute(store.db);
  const ran = await ranFor(store.db, id, fingerprint);
  expect(ran).toMatchObject({ runsNow: true });
  expect(Math.round((ran?.ranMs ?? 0) / 60_000)).toBe(90);
  await bring(id, other, 'pro_4');
  expect(await ranFor(store.db, id, fingerprint)).toMatchObject({ runsNow: false });
  expect(await ranFor(store.db, id, 'never')).toBeNull();
});

async function tenures(environmentId: string, releaseId: string, promotionId: string) {
  await bring(environmentId, releaseId, promotionId);
  return tenuresOf(store.db, environmentId, 10);
}

test('one release at a time is what runs, and recording it twice changes nothing', async () => {
  const id = await place('qa');
  const one = await seedRelease(store.db, { commit: 'a'.repeat(40), keys: { web: 'k1' } });
  const two = await seedRelease(store.db, { commit: 'b'.repeat(40), keys: { web: 'k2' } });
  await bring(id, one, 'pro_1', ['web', 'api']);
  await bring(id, two, 'pro_2');
  await bring(id, two, 'pro_2');
  const turns = await tenuresOf(store.db, id, 10);
  expect(turns.map(({ promotionId, endedAt }) => [promotionId, endedAt === null])).toEqual([
    ['pro_2', true],
    ['pro_1', false],
  ]);
  expect(await environmentById(store.db, id)).toMatchObject({ currentReleaseId: two, currentPromotionId: 'pro_2' });
  const running = await store.db.selectFrom('deployment').select(['service', 'release_id']).execute();
  expect(running).toEqual([{ service: 'web', release_id: two }]);
});

test('a turn of artifacts that were barred as another release is known as barred', async () => {
  const id = await place('qa');
  const one = await seedRelease(store.db, { commit: 'a'.repeat(40), keys: { web: 'k1' } });
  const docsOnly = await seedRelease(store.db, { commit: 'b'.repeat(40), keys: { web: 'k1' } });
  await bring(id, one, 'pro_1');
  await yankRelease(store.db, docsOnly, 'wrong tax', 'olga');
  expect(await tenuresOf(store.db, id, 10)).toMatchObject([{ yanked: true }]);
});

test('addresses are given once, to one, and are free again when the environment is gone', async () => {
  const ids = await Promise.all(
    ['one', 'two', 'three', 'four'].map((branch) => ensurePreview(store.db, preview(branch))),
  );
  const options = { firstPort: 7100, isFree: (port: number) => Promise.resolve(port !== 7102) };
  const given = await Promise.all(ids.map((id) => endpointsFor(store.db, id, ['web', 'api'], options)));
  const ports = given.flatMap((one) => Object.values(one));
  expect(new Set(ports).size).toBe(8);
  expect(ports).not.toContain(7102);
  expect(await endpointsFor(store.db, ids[0] ?? '', ['api', 'web'], options)).toEqual(given[0]);
  await recordRemoved(store.db, ids[0] ?? '');
  const next = await ensurePreview(store.db, preview('five'));
  const again = await endpointsFor(store.db, next, ['web', 'api'], options);
  expect(new Set(Object.values(again))).toEqual(new Set(Object.values(given[0] ?? {})));
});

test('when no address is free, that is said', async () => {
  const id = await place('qa');
  const none = { firstPort: 7100, isFree: () => Promise.resolve(false) };
  await expect(endpointsFor(store.db, id, ['web'], none)).rejects.toMatchObject({ code: 'environment.no-port' });
});

test('a preview ends with its time or its branch, and its branch may have another one later', async () => {
  await store.db
    .insertInto('ref')
    .values([
      { repository_id: REPOSITORY, name: 'refs/heads/alive', oid: 'a', commit_sha: 'a' },
      { repository_id: REPOSITORY, name: 'refs/heads/late', oid: 'a', commit_sha: 'a' },
      { repository_id: REPOSITORY, name: 'refs/heads/gone', oid: 'a', commit_sha: 'a', deleted_at: new Date() },
    ])
    .execute();
  const dead = async () => (await endings(store.db)).map(({ id }) => id);
  const alive = await ensurePreview(store.db, preview('alive'));
  const late = await ensurePreview(store.db, preview('late', new Date(Date.now() - 1)));
  const gone = await ensurePreview(store.db, preview('gone'));
  expect(await ensurePreview(store.db, preview('alive'))).toBe(alive);
  expect((await dead()).toSorted()).toEqual([late, gone].toSorted());
  await recordRemoved(store.db, gone);
  await recordRemoved(store.db, gone);
  expect(await dead()).toEqual([late]);
  expect(await ensurePreview(store.db, preview('gone'))).not.toBe(gone);
  expect((await environmentNamed(store.db, PROJECT, 'alive')).id).toBe(alive);
});
