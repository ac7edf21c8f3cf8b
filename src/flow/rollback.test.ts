import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { createWorld, type World } from './testing/world.ts';

const config = `
services:
  web: { path: services/web, build: text }
environments:
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
`;

let world: World;
/** What qa ran when a test begins, and what it runs. */
let first: string;
let second: string;

beforeAll(async () => {
  world = await createWorld('back', config, { says: { web: 'hello' } });
}, 120_000);

afterAll(() => world.end());

let count = 0;
beforeEach(async () => {
  count += 1;
  await world.useCases.environments.resume(world.project, 'qa', 'olga');
  first = await world.push({ says: { web: `first ${count}` } });
  await world.live('qa', first);
  second = await world.push({ says: { web: `second ${count}` } });
  await world.live('qa', second);
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

async function rollBack(by: string, to?: string) {
  const request = { project: world.project, environment: 'qa', ...(to === undefined ? {} : { to }) };
  const answer = await world.useCases.environments.rollback(request, by);
  if (answer.kind === 'started') return answer.promotion;
  throw new Error('It was a dry run.');
}
