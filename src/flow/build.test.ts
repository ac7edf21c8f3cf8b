import { afterAll, beforeAll, expect, test } from 'vitest';

import { RegistryError } from '../registry/error.ts';
import { reconcile } from './care/lost-work.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const config = `
services:
  web: { path: services/web, build: text }
environments:
  dev: { on: manual, accepts: any, deploy: stage, settle: 0ms }
`;

let world: World;

beforeAll(async () => {
  world = await createWorld('builds', config, { says: { web: 'hello' } });
}, 120_000);

afterAll(() => world.end());

test('who waits for artifacts whose build was lost hears it, and so does who follows the log of the build', async () => {
  const { db } = world.house.store;
  world.holds.hold('build lost');
  const commit = await world.push({ says: { web: 'lost' } });
  await world.holds.reached('build lost');
  const { id } = await world.request('dev', commit);
  expect((await world.reaches(id, 'waiting')).reasons).toMatchObject([{ gate: 'artifact' }]);
  const { key, log_id: log } = await db
    .selectFrom('artifact')
    .select(['key', 'log_id'])
    .where('state', '=', 'building')
    .executeTakeFirstOrThrow();
  await world.engine.cancel(`build:${key}:1`);
  const longAgo = new Date(Date.now() - 60_000);
  await db.updateTable('artifact').set({ requested_at: longAgo }).where('key', '=', key).execute();
  await reconcile(world.house, world.engine);
  expect((await world.reaches(id, 'refused')).headline).toContain('Its build ended without a result.');
  await until(async () => {
    const chunks = await db.selectFrom('log_chunk').selectAll().where('log_id', '=', log).execute();
    return JSON.stringify(chunks).includes('Its build ended without a result.') ? true : null;
  });
});

test('who follows a log that is no longer kept stops', async () => {
  const { db } = world.house.store;
  const commit = await world.push({ says: { web: 'long ago' } });
  const show = () => world.useCases.releases.show(world.project, commit);
  const { services } = await until(async () => {
    const release = await show().catch(() => null);
    return release?.state === 'ready' ? release : null;
  });
  const log = services[0]?.logId ?? '';
  await db.deleteFrom('log_chunk').where('log_id', '=', log).execute();
  const parts = [];
  for await (const part of world.useCases.logs.follow(log, undefined, new AbortController().signal)) parts.push(part);
  expect(parts).toEqual([{ lines: [], seq: '0', ended: true }]);
  expect(await world.useCases.logs.read(log, undefined)).toEqual({ lines: [], seq: '0', ended: true });
  await expect(world.useCases.logs.read('log_nobody', undefined)).rejects.toMatchObject({ code: 'log.unknown' });
  expect(await world.useCases.logs.projectsOf(log)).toEqual([world.project]);
  expect(await world.useCases.logs.projectsOf('log_nobody')).toEqual([]);
});

test.for(['registry.unreachable', 'registry.throttled'] as const)(
  'a base whose registry is %s for as long as is tried fails no build: it is made later',
  async (code) => {
    const { db } = world.house.store;
    const builder = world.house.builders.get('text') ?? expect.unreachable();
    const builders = world.house.builders as Map<string, typeof builder>;
    let tries = 0;
    const busy = async () => {
      tries += 1;
      throw new RegistryError({ code, what: 'The registry of the base cannot now.', fix: 'Wait for it.' });
    };
    builders.set('text', { ...builder, build: busy });
    const commit = await world.push({ says: { web: code } });
    const { key, log_id: log } = await until(async () => {
      const row = await db
        .selectFrom('artifact')
        .selectAll()
        .where('built_for_commit', '=', commit)
        .where('attempt', '=', 2)
        .executeTakeFirst();
      return row ?? null;
    });
    const { id } = await world.request('dev', commit);
    builders.set('text', builder);
    expect(tries).toBe(5);
    await until(async () => ((await world.engine.state(`build:${key}:1`)).kind === 'done' ? true : null));
    expect(await world.engine.state(`build:${key}:2`)).toEqual({ kind: 'queued' });
    await db
      .updateTable('artifact')
      .set({ requested_at: new Date(0) })
      .where('key', '=', key)
      .execute();
    await reconcile(world.house, world.engine);
    expect(await world.useCases.releases.show(world.project, commit)).toMatchObject({ state: 'building' });
    expect((await world.reaches(id, 'waiting')).reasons).toMatchObject([{ gate: 'artifact' }]);
    expect(JSON.stringify(await world.useCases.logs.read(log, undefined))).toContain('It is tried again.');
    await world.engine.cancel(`build:${key}:2`);
    await reconcile(world.house, world.engine);
  },
);
