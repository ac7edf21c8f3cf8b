import { afterAll, beforeAll, expect, test } from 'vitest';

import { createWorld, type World } from './testing/world.ts';

const config = (stage: string) => `
services:
  web: { path: ., build: text }
environments:
  qa: { on: { merge: main }, config: { STAGE: ${stage} }, deploy: stage, settle: 0ms }
`;

let world: World;

beforeAll(async () => {
  world = await createWorld('whole', config('one'), { files: { text: 'all of it' } });
  await world.live('qa', await world.git('rev-parse', 'main'));
}, 120_000);

afterAll(() => world.end());

test('a word about an environment builds nothing anew, also where the service is the whole repository', async () => {
  const commit = await world.push({ files: { 'towpath.yaml': `project: whole\n${config('two')}` } });
  await world.live('qa', commit);
  const { services } = await world.useCases.releases.show(world.project, commit);
  expect(services).toMatchObject([{ service: 'web', reused: true }]);
});

test('why of a release says of each environment what it waits for there', async () => {
  await world.useCases.environments.hold(world.project, 'qa', 'audit', 'olga');
  const next = await world.push({ files: { text: 'more of it' } });
  await world.promotion('qa', next, 'waiting');
  const { reasons } = await world.useCases.why(world.project, next);
  expect(reasons).toMatchObject([{ gate: 'hold', what: expect.stringMatching(/^qa \(waiting\): .*audit/) }]);
});
