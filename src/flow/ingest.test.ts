import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const config = (settle: string) => `
services:
  web: { path: services/web, build: text }
environments:
  qa: { on: { merge: main }, deploy: stage, settle: ${settle} }
`;

let world: World;

beforeAll(async () => {
  world = await createWorld('taken', config('0ms'), { says: { web: 'hello' } });
}, 120_000);

afterAll(() => world.end());

test('a path that was read from a head is not laid any more when the branch has moved on meanwhile', async () => {
  const { store } = world.house;
  const before = await world.git('rev-parse', 'main');
  const path = `project: taken\n${config('123ms')}`;
  world.holds.hold('git');
  const late = await world.push({ files: { 'towpath.yaml': path } });
  await world.holds.reached('git');
  await store.transaction(async (tx) => {
    await tx.selectFrom('ref').select('name').where('name', '=', 'refs/heads/main').forUpdate().execute();
    world.holds.release('git');
    await until(() => someoneWaits());
    await tx.updateTable('ref').set({ commit_sha: before }).where('name', '=', 'refs/heads/main').execute();
  });
  await until(async () => {
    const { items } = await world.useCases.releases.list(world.project, { limit: 1 });
    return items.some(({ commit }) => commit === late) ? true : null;
  });
  expect(await laid()).not.toContain(late);
  const next = await world.push({ files: { 'README.md': 'Read this.\n' } });
  await until(async () => ((await laid()).includes(next) ? true : null));
});

async function laid(): Promise<string[]> {
  const { db } = world.house.store;
  const rows = await db.selectFrom('event').select('subject').where('kind', '=', 'path.laid').execute();
  return rows.map(({ subject }) => subject ?? '');
}

/** Resolves to true when a transaction stands before a lock of this database. */
async function someoneWaits(): Promise<true | null> {
  const { rows } = await sql<{ count: string }>`
    select count(*) as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`.execute(world.house.store.db);
  return Number(rows[0]?.count) > 0 ? true : null;
}
