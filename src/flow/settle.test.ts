import { afterAll, beforeAll, expect, test } from 'vitest';

import { createWorld, type World } from './testing/world.ts';

const SETTLE_MS = 60_000;
const HOUR_MS = 3_600_000;

let world: World;
let looks = 0;
let elapsedMs = 0;

beforeAll(async () => {
  const config = `
services: { web: { path: services/web, build: text } }
environments:
  qa: { on: manual, accepts: any, deploy: stage, settle: 1m }
`;
  world = await createWorld('settling', config, { says: { web: 'hello' } });
  const clock = {
    now: () => Date.now() + (looks % 3) * HOUR_MS, // somebody sets it between any two looks, forward and back
    elapsed: () => {
      looks += 1;
      return elapsedMs;
    },
  };
  Object.assign(world.house, { clock });
}, 120_000);
afterAll(() => world.end());

test('a release settles for as long as it says, whatever is done to the clock meanwhile', async () => {
  const { id } = await world.request('qa', 'main');
  await world.reaches(id, 'verifying');
  await expect.poll(() => looks, { timeout: 30_000 }).toBeGreaterThan(6);
  expect((await world.useCases.promotions.show(id)).state).toBe('verifying');

  elapsedMs = SETTLE_MS - 1;
  const before = looks;
  await expect.poll(() => looks, { timeout: 30_000 }).toBeGreaterThan(before + 3);
  expect((await world.useCases.promotions.show(id)).state).toBe('verifying');

  elapsedMs = SETTLE_MS;
  await world.reaches(id, 'live');
});
