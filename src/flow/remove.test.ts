import { afterAll, beforeAll, expect, test } from 'vitest';

import { removalId } from './create-flows.ts';
import { createWorld, until, type World } from './testing/world.ts';

const PATH = {
  qa: '{ on: { merge: main }, deploy: stage, settle: 0ms }',
  preview: "{ on: { branch: 'feature/*' }, ephemeral: { ttl: 1d }, accepts: any, deploy: stage, settle: 0ms }",
};

function path(more: Readonly<Record<string, string>> = {}): string {
  const environments = Object.entries({ ...PATH, ...more }).map(([name, text]) => `  ${name}: ${text}`);
  return ['services:', '  web: { path: services/web, build: text }', 'environments:', ...environments, ''].join('\n');
}

let world: World;

beforeAll(async () => {
  world = await createWorld('endings', path(), { says: { web: 'hello' } });
}, 120_000);

afterAll(() => world.end());

test('a preview that went live again between two tries to end it is left as it is', async () => {
  const branch = 'feature/lazarus';
  const before = await world.push({ branch, from: 'main', says: { web: 'first life' } });
  const { id, name } = await world.live(branch, before);
  const { db } = world.house.store;
  const free = { holder: null, until: null };
  const taken = { holder: 'somebody', until: new Date(Date.now() + 3_600_000) };
  await db.updateTable('lane').set(taken).where('environment_id', '=', id).execute();
  const asked = await world.request(name, before);
  await world.reaches(asked.id, 'waiting');
  await world.git('update-ref', '-d', `refs/heads/${branch}`);
  await world.poll();
  await world.reaches(asked.id, 'cancelled'); // so it was tried, and found the lane taken
  world.holds.hold(`destroy ${name}`);
  const after = await world.push({ branch, from: 'main', says: { web: 'second life' } });
  await world.promotion(branch, after, 'waiting');
  await db.updateTable('lane').set(free).where('environment_id', '=', id).execute();
  expect((await world.live(branch, after)).id).toBe(id);
  expect(await world.engine.ended(removalId(id, 0), { signal: AbortSignal.timeout(30_000) })).toMatchObject({
    kind: 'done',
  });
  world.holds.release(`destroy ${name}`);
  expect(world.runs(name)).toEqual({ web: 'second life' });
  expect((await world.environment(branch)).current?.commit).toBe(after);
  await world.git('update-ref', '-d', `refs/heads/${branch}`);
  await world.poll();
  await gone(name); // and the next end of it is a removal of its own
});

/** Waits until the environment is gone, and nothing of it runs. */
async function gone(name: string): Promise<void> {
  await until(async () => {
    const all = await world.useCases.environments.list(world.project);
    return all.some((one) => one.name === name) ? null : true;
  });
  expect(world.runs(name)).toEqual({});
}
