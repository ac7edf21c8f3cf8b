import { afterAll, beforeAll, expect, test } from 'vitest';

import type { DeployDriver } from '../deploy/driver.ts';
import { createHolds, stageDriver } from './testing/stage.ts';
import { createWorld, type World } from './testing/world.ts';
import type { OutputBatch } from './use-cases.ts';
import { createUseCases } from './use-cases/create.ts';

let world: World;
beforeAll(async () => {
  const config = `
services: { web: { path: services/web, build: text } }
environments:
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
  prod: { on: manual, from: qa, deploy: stage }
`;
  world = await createWorld('printing', config, { says: { web: 'hello' } });
  await world.live('qa', await world.git('rev-parse', 'main'));
}, 120_000);
afterAll(() => world.end());

const wish = { tail: 10, follow: false };

test('what a service prints is told with the promotion that started it, and then that it is all', async () => {
  const { number } = (await world.environment('qa')).history[0] ?? {};
  const open = await world.useCases.output.open(world.project, 'qa', 'web');
  const batches: OutputBatch[] = [];
  for await (const batch of open(wish, new AbortController().signal)) batches.push(batch);
  expect(batches).toMatchObject([
    { replica: 'stage-0', promotion: number, lines: ['hello'], seq: 'stage-0=1', ended: false },
    { lines: [], ended: true },
  ]);
});

test('followed, it ends when the reader leaves, and says no end', async () => {
  const open = await world.useCases.output.open(world.project, 'qa', 'web');
  const leave = new AbortController();
  const batches: OutputBatch[] = [];
  for await (const batch of open({ ...wish, follow: true }, leave.signal)) {
    batches.push(batch);
    leave.abort();
  }
  expect(batches.map(({ ended }) => ended)).toEqual([false]);
});

test('a server that does not run it says so and where to ask; of what runs nowhere it says that', async () => {
  const driver = stageDriver(
    'stage',
    () => '',
    createHolds(),
    async () => '',
  );
  const other = createUseCases({ ...world.house, drivers: new Map([[driver.name, driver]]) });
  await expect(other.output.open(world.project, 'qa', 'web')).rejects.toMatchObject({
    code: 'output.elsewhere',
    what: expect.stringContaining('on the machine where it runs'),
    fix: expect.stringContaining('--server'),
  });
  await expect(world.useCases.output.open(world.project, 'qa', 'webb')).rejects.toMatchObject({
    code: 'output.unknown',
    fix: expect.stringContaining('Name one of: web.'),
  });
  await expect(other.output.open(world.project, 'prod', 'web')).rejects.toMatchObject({
    code: 'output.unknown',
    fix: expect.stringContaining('Nothing runs there yet.'),
  });
});

test('a driver that gives no output is told by name', async () => {
  const [[name, driver] = []] = world.house.drivers;
  if (name === undefined || driver === undefined) throw new Error('There is a driver.');
  const silent: DeployDriver = {
    name,
    config: driver.config,
    lacks: ['output'],
    plan: (...asked) => driver.plan(...asked),
    apply: (...asked) => driver.apply(...asked),
    observe: (target) => driver.observe(target),
    destroy: (...asked) => driver.destroy(...asked),
  };
  const other = createUseCases({ ...world.house, drivers: new Map([[name, silent]]) });
  await expect(other.output.open(world.project, 'qa', 'web')).rejects.toMatchObject({ code: 'deploy.no-output' });
});
