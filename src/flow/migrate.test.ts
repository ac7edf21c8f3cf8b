import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Jobs } from '../deploy/driver.ts';
import { migrationRun, recordMigrationBegun } from '../deploy/migration-run-store.ts';
import { readLog } from '../store/log-store.ts';
import type { Deployment } from './deploy-release.ts';
import type { House } from './house.ts';
import { migrate } from './migrate.ts';
import { createWorld, type World } from './testing/world.ts';
import { until } from './testing/until.ts';
import { placeOf } from './turn.ts';

const CONFIG = `services:
  web: { path: services/web, build: { text: {} }, migrate: { run: node migrate.js, timeout: 1m } }
environments:
  qa: { on: { merge: main }, deploy: { stage: {} }, settle: 0s }
`;

let world: World;
let first: string;

beforeAll(async () => {
  world = await createWorld('shop', CONFIG, { says: { web: 'first' } });
  first = (await world.git('rev-parse', 'main')).trim();
  await world.live('qa', first);
});
afterAll(() => world.end());

test('a migration runs before anything is switched, alone in its environment, and its output is in the log', async () => {
  world.holds.hold('migrate second');
  const second = await world.push({ says: { web: 'second' } });
  await world.holds.reached('migrate second');
  expect(world.runs('qa')).toEqual({ web: 'first' });
  const other = await world.request('qa', first);
  await world.says(other.id, 'Another change is under way there');
  await world.useCases.promotions.cancel(other.id, 'olga');
  world.holds.release('migrate second');
  await world.live('qa', second);
  const { id } = await world.promotion('qa', second, 'live');
  expect((await logOf(id)).slice(0, 3)).toEqual([
    'web: migrates: node migrate.js',
    'web:   node migrate.js of second',
    'web: is migrated',
  ]);
});

test('it runs once in a promotion; of one that a kill cut off nobody knows how it ended, and it is not begun again', async () => {
  const { house } = world;
  const { id, environmentId, release } = await newest();
  const place = await placeOf(house, { environmentId }, release);
  const again = { ...place, promotionId: id, operation: id, token: 1_000_000n, signal: new AbortController().signal };
  await migrate(house, again);
  expect((await logOf(id)).filter((line) => line.includes('migrates'))).toHaveLength(1);
  await house.store.db.updateTable('migration_run').set({ outcome: null }).where('promotion_id', '=', id).execute();
  await expect(migrate(house, again)).rejects.toMatchObject({ code: 'migration.interrupted' });
  await expect(migrate(house, again)).rejects.toMatchObject({ code: 'migration.interrupted' });
});

test('one that does not come to begin fails as a deployment that takes too long, and its database is as it was', async () => {
  const { at, deployment } = await anew(
    () => (_desired, _job, context) =>
      new Promise((_resolve, reject) =>
        context.signal.addEventListener('abort', () => reject(new Error('called off'))),
      ),
  );
  const definition = { ...deployment.definition, timeoutMs: 50 };
  await expect(migrate(at, { ...deployment, definition })).rejects.toMatchObject({ code: 'deploy.timeout' });
  expect(await migrationRun(at.store.db, { ...deployment, service: 'web' })).toBeNull();
});

test('of two servers that made ready for it at the same time one begins it, and the other leaves it alone', async () => {
  const { at, deployment } = await anew((jobs) => async (desired, job, context) => {
    await recordMigrationBegun(at.store.db, { ...deployment, service: 'web' }); // as the other does meanwhile
    return jobs.run(desired, job, context);
  });
  const before = await logOf(deployment.promotionId);
  await expect(migrate(at, deployment)).rejects.toMatchObject({ code: 'migration.elsewhere' });
  expect(await logOf(deployment.promotionId)).toEqual(before);
});

test('one that fails fails the promotion before anything is switched, and nothing comes by itself before somebody has looked', async () => {
  const commit = await world.push({ says: { web: 'unmigratable' } });
  const { headline } = await world.promotion('qa', commit, 'failed');
  expect(headline).toContain('Failed at migrating: The migration of web in qa ended with exit code 1.');
  expect(headline).toContain('What runs there goes on; its database may be changed in part.');
  expect(world.runs('qa')).toEqual({ web: 'second' });
  expect((await world.environment('qa')).hold?.reason).toContain('The migration of web');
  const mended = await world.push({ says: { web: 'mended' } });
  await world.promotion('qa', mended, 'waiting');
  await world.useCases.environments.resume('shop', 'qa', 'olga');
  await world.live('qa', mended);
});

test('a rollback runs none', async () => {
  const { db } = world.house.store;
  const runs = async (): Promise<number> => (await db.selectFrom('migration_run').select('service').execute()).length;
  const before = await runs();
  const back = await world.useCases.environments.rollback({ project: 'shop', environment: 'qa' }, 'olga');
  if (back.kind !== 'started') throw new Error('It was a dry run.');
  await world.reaches(back.promotion.id, 'live');
  await until(async () => (world.runs('qa')['web'] === 'second' ? true : null));
  expect(await runs()).toBe(before);
});

/** The last promotion, as if its migration had not begun, and a server whose driver runs jobs in another way. */
async function anew(runBy: (jobs: Jobs) => Jobs['run']): Promise<{ at: House; deployment: Deployment }> {
  const { house } = world;
  const { id, environmentId, release } = await newest();
  await house.store.db.deleteFrom('migration_run').where('promotion_id', '=', id).execute();
  const stage = house.drivers.get('stage');
  if (stage?.jobs === undefined) expect.unreachable();
  const { jobs } = stage;
  const driver = { ...stage, jobs: { ...jobs, run: runBy(jobs) } };
  const place = await placeOf(house, { environmentId }, release);
  const signal = new AbortController().signal;
  return {
    at: { ...house, drivers: new Map([['stage', driver]]) },
    deployment: { ...place, promotionId: id, operation: id, token: 1_000_001n, signal },
  };
}

async function newest(): Promise<{ id: string; environmentId: string; release: string }> {
  const row = await world.house.store.db
    .selectFrom('promotion')
    .select(['id', 'environment_id', 'release_id'])
    .where('state', '=', 'live')
    .orderBy('number', 'desc')
    .executeTakeFirstOrThrow();
  return { id: row.id, environmentId: row.environment_id, release: row.release_id };
}

async function logOf(promotionId: string): Promise<readonly string[]> {
  const { store } = world.house;
  const { log_id: logId } = await store.db
    .selectFrom('promotion')
    .select('log_id')
    .where('id', '=', promotionId)
    .executeTakeFirstOrThrow();
  return (await readLog(store.db, logId, 0)).lines;
}
