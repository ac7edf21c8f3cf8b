import { afterAll, beforeAll, expect, test } from 'vitest';

import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const config = (users = '{}') => `
services:
  web: { path: services/web, build: text }
roles: { managers: [bob, eve] }
users: ${users}
environments:
  signed: { on: manual, accepts: any, gates: [{ approvals: { of: managers } }], deploy: stage, settle: 0ms }
`;
const path = (users: string) => ({ 'towpath.yaml': `project: written\n${config(users)}` });

let world: World;

beforeAll(async () => {
  world = await createWorld('written', config(), { says: { web: 'first' } });
}, 120_000);

afterAll(() => world.end());

test('an approval whose author nobody knows waits, until the default branch says who is who', async () => {
  const { promotions } = world.useCases;
  const work = await written('work', 'Robert B.');
  const { id } = await world.request('signed', work);
  await promotions.approve(id, undefined, 'bob');
  const untold = await world.says(id, 'cannot tell whether bob wrote it');
  expect(untold.headline).toContain('Robert B. <robert@example.com>');
  expect(untold.reasons[0]?.fix).toContain('users: { bob: [address] }');

  // what a branch says of its own author is not heard
  await world.push({ branch: 'work', files: path('{ bob: [] }'), author: 'Robert B.' });
  expect((await promotions.approve(id, 'again', 'bob')).id).toBe(id);
  await world.says(id, 'cannot tell whether bob wrote it');

  await world.push({ files: path('{ bob: [ROBERT@example.com] }') });
  await world.says(id, 'by somebody who did not write it (so far: bob)');
  await promotions.approve(id, undefined, 'eve');
  await world.reaches(id, 'live');
});

test('who is listed under other names approves what a stranger wrote', async () => {
  await world.push({ files: path('{ bob: [bob@example.com] }') });
  const work = await written('guest', 'Guest G.');
  const { id } = await world.request('signed', work);
  await world.useCases.promotions.approve(id, undefined, 'bob');
  await world.reaches(id, 'live');
});

/** Waits for the release of a new branch by this author. */
async function written(branch: string, author: string): Promise<string> {
  const commit = await world.push({ branch, from: 'main', says: { web: branch }, author });
  await until(async () => {
    const { items } = await world.useCases.releases.list(world.project, { limit: 5 });
    return items.some((release) => release.commit === commit && release.state === 'ready') ? true : null;
  });
  return commit;
}
