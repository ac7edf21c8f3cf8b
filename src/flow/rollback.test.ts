import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { reconcile } from './care/lost-work.ts';
import { createWorld, type World } from './testing/world.ts';

const config = `
services:
  web: { path: services/web, build: text }
roles: { managers: [mia] }
users: { ada: [ada@example.com] }
environments:
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
  stays: { on: { merge: main }, onFailure: hold, deploy: stage, settle: 0ms }
  asks: { on: manual, gates: [{ approvals: { of: managers, count: 1, expires: 1h } }], deploy: stage, settle: 0ms }
`;

const ENVIRONMENTS = ['qa', 'stays'];

let world: World;
/** What both ran when a test begins, and what they run. */
let first: string;
let second: string;

beforeAll(async () => {
  world = await createWorld('back', config, { says: { web: 'hello' } });
}, 120_000);

afterAll(() => world.end());

let count = 0;
beforeEach(async () => {
  count += 1;
  for (const name of ENVIRONMENTS) await world.useCases.environments.resume(world.project, name, 'olga');
  first = await world.push({ says: { web: `first ${count}` } });
  for (const name of ENVIRONMENTS) await world.live(name, first);
  second = await world.push({ says: { web: `second ${count}` } });
  for (const name of ENVIRONMENTS) await world.live(name, second);
});

test('two who roll back the same trouble step back once, and the next one goes further back', async () => {
  const third = await world.push({ says: { web: `third ${count}` } });
  await world.live('qa', third);
  world.holds.hold(`deploy second ${count}`);
  const one = await rollBack('olga');
  await world.holds.reached(`deploy second ${count}`);
  const other = await rollBack('pete');
  expect(other).toMatchObject({ id: one.id, release: { commit: second } });
  expect(await world.useCases.environments.show(world.project, 'qa')).toMatchObject({
    canRollBack: { to: { commit: second } },
  });
  world.holds.release(`deploy second ${count}`);
  await world.reaches(one.id, 'live');
  const further = await rollBack('pete');
  await world.reaches(further.id, 'live');
  expect(world.runs('qa')).toEqual({ web: `first ${count}` });
});

test('a rollback to another release takes the place of the one that is under way', async () => {
  const third = await world.push({ says: { web: `third ${count}` } });
  await world.live('qa', third);
  world.holds.hold(`deploy second ${count}`);
  const one = await rollBack('olga');
  await world.holds.reached(`deploy second ${count}`);
  const other = await rollBack('pete', first);
  await world.reaches(other.id, 'live');
  expect(await world.reaches(one.id, 'cancelled')).toMatchObject({
    headline: `Cancelled by rollback ${other.number}.`,
  });
  world.holds.release(`deploy second ${count}`);
  expect(world.runs('qa')).toEqual({ web: `first ${count}` });
});

test('after a failure that was left standing a rollback brings what ran before it, by itself or by name', async () => {
  const broken = await world.push({ says: { web: `broken ${count}` } });
  await world.promotion('stays', broken, 'failed');
  const [place] = (await world.useCases.environments.list(world.project)).filter(({ name }) => name === 'stays');
  expect(place?.canRollBack).toMatchObject({ to: { commit: second } });
  const named = await rollBack('olga', second, 'stays');
  await world.reaches(named.id, 'live');
  expect(named.release.commit).toBe(second);
  expect(world.runs('stays')).toEqual({ web: `second ${count}` });
  const further = await rollBack('olga', undefined, 'stays');
  await world.reaches(further.id, 'live');
  expect(further.release.commit).toBe(first);
});

test('after a rollback that was lost half way the next one goes further back, never to what was stepped away from', async () => {
  const third = await world.push({ says: { web: `third ${count}` } });
  await world.live('stays', third);
  world.holds.hold(`deploy second ${count}`);
  const { id } = await rollBack('olga', undefined, 'stays');
  await world.holds.reached(`deploy second ${count}`);
  const { store, starts } = world.house;
  const { runs } = await store.db.selectFrom('promotion').select('runs').where('id', '=', id).executeTakeFirstOrThrow();
  await starts.cancelPromotion(id, runs);
  const longAgo = new Date(Date.now() - 60_000);
  await store.db.updateTable('promotion').set({ changed_at: longAgo }).where('id', '=', id).execute();
  await reconcile(world.house, world.engine);
  await world.reaches(id, 'failed');
  world.holds.release(`deploy second ${count}`);
  expect(await world.environment('stays')).toMatchObject({ canRollBack: { to: { commit: first } } });
  await world.reaches((await rollBack('olga', second, 'stays')).id, 'live');
});

test('what ran and was yanked meanwhile does not come back after a cancel, and a hold says so', async () => {
  world.holds.hold(`deploy third ${count}`);
  const third = await world.push({ says: { web: `third ${count}` } });
  await world.holds.reached(`deploy third ${count}`);
  await world.useCases.releases.yank(world.project, second, 'wrong tax', 'olga');
  const { id } = await world.promotion('qa', third, 'deploying');
  await world.useCases.promotions.cancel(id, 'olga');
  world.holds.release(`deploy third ${count}`);
  const [back] = (await world.environment('qa')).history;
  expect(back).toMatchObject({ kind: 'rollback', release: { commit: second } });
  await world.reaches(back?.id ?? '', 'refused');
  const { hold, canRollBack } = await world.environment('qa');
  expect(hold?.reason).toContain('could not be put back');
  expect(canRollBack).toMatchObject({ to: { commit: first } });
});

test('who approved what a rollback brought back is told of what runs', async () => {
  for (const release of [first, second]) {
    const { id } = await world.request('asks', release);
    await world.reaches(id, 'waiting');
    await world.useCases.promotions.approve(id, undefined, 'mia');
    await world.reaches(id, 'live');
  }
  await world.reaches((await rollBack('olga', undefined, 'asks')).id, 'live');
  const { environments } = await world.useCases.why(world.project, first, { environment: 'asks' });
  expect(environments).toMatchObject([
    {
      verdict: 'runs',
      lines: expect.arrayContaining([expect.objectContaining({ gate: 'approvals', verdict: 'pass' })]),
    },
  ]);
});

async function rollBack(by: string, to?: string, environment = 'qa') {
  const request = { project: world.project, environment, ...(to === undefined ? {} : { to }) };
  const answer = await world.useCases.environments.rollback(request, by);
  if (answer.kind === 'started') return answer.promotion;
  throw new Error('It was a dry run.');
}
