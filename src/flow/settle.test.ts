import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '../lib/clock.ts';
import { setRight } from './care/clock-back.ts';
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
  demo: { on: manual, accepts: any, deploy: stage, settle: 0ms }
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

test('what a clock left behind that was ahead holds up no poll, no lane and no promotion that waits', async () => {
  const { holds, house } = world;
  Object.assign(house, { clock: systemClock }); // it is right again
  const other = await world.push({ branch: 'other', from: 'main', says: { web: 'other' } });
  holds.hold('deploy hello');
  const first = await world.request('demo', 'main');
  await holds.reached('deploy hello');
  const second = await world.request('demo', other);
  await world.reaches(second.id, 'waiting');
  const later = sql`clock_timestamp() + interval '2 hours'`;
  await sql`update promotion set changed_at = ${later}, wake_at = ${later} where id = ${second.id}`.execute(
    house.store.db,
  );
  await sql`update repository set polled_at = ${later}, next_poll_at = ${later}, lease_until = ${later}`.execute(
    house.store.db,
  );
  await sql`update lane set until = ${later}`.execute(house.store.db);

  await setRight(house);
  await expect
    .poll(async () => {
      const { rows } = await sql<Record<string, boolean>>`
        select (select max(wake_at) < clock_timestamp() + interval '1 hour' from promotion where ended_at is null) as looks,
          (select next_poll_at <= clock_timestamp() and lease_until is null from repository) as polled,
          (select max(until) < clock_timestamp() + interval '1 minute' from lane) as lapses`.execute(house.store.db);
      return rows[0];
    })
    .toEqual({ looks: true, polled: true, lapses: true });
  holds.release('deploy hello');
  for (const { id } of [first, second]) await world.reaches(id, 'live');
});
