import { afterAll, beforeAll, expect, test } from 'vitest';

import { underOperation } from '../../store/once.ts';
import { until } from '../testing/until.ts';
import { createWorld, type World } from '../testing/world.ts';

const config = `
services:
  web: { path: services/web, build: text }
roles: { managers: [bob] }
environments:
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
  dev: { on: manual, accepts: any, deploy: stage, settle: 0ms }
  signed: { on: manual, accepts: any, gates: [{ approvals: { of: managers } }], deploy: stage, settle: 0ms }
`;

let world: World;
let commits: string[];

beforeAll(async () => {
  world = await createWorld('repeated', config, { says: { web: 'one' } });
  commits = [await world.git('rev-parse', 'main')];
  await world.live('qa', commits[0] ?? '');
  for (const text of ['two', 'three']) {
    commits.push(await world.push({ says: { web: text } }));
    await world.live('qa', commits.at(-1) ?? '');
  }
}, 120_000);

afterAll(() => world.end());

/** The request, and the same one again by whoever never got its answer. */
async function twice<T>(id: string, ask: () => Promise<T>, between: () => Promise<unknown> = async () => null) {
  const first = await underOperation(id, ask);
  await between();
  return [first, await underOperation(id, ask)] as const;
}

test('a rollback that is asked for again steps back once', async () => {
  const { environments } = world.useCases;
  const [first, again] = await twice(
    'rollback',
    async () => {
      const answer = await environments.rollback({ project: world.project, environment: 'qa' }, 'olga');
      if (answer.kind !== 'started') throw new Error('It was no dry run.');
      return answer.promotion;
    },
    () => world.live('qa', commits[1] ?? ''),
  );
  expect(again).toMatchObject({ id: first.id, state: 'live' });
  expect((await world.environment('qa')).current?.commit).toBe(commits[1]);
  await environments.resume(world.project, 'qa', 'olga');
});

test('a wish, a mix, a cancellation and a voice are the same when they are asked for again', async () => {
  const { releases, promotions } = world.useCases;
  const [wish, sameWish] = await twice('wish', () => world.request('signed', commits[0] ?? ''));
  expect(sameWish.id).toBe(wish.id);
  await world.reaches(wish.id, 'waiting');
  const mix = { project: world.project, base: commits[0] ?? '', services: { web: commits[2] ?? '' } };
  const [mixed, sameMix] = await twice('mix', () => releases.mix(mix, 'olga'));
  expect(sameMix.id).toBe(mixed.id);
  const [cancelled, sameCancelled] = await twice('cancel', () => promotions.cancel(wish.id, 'olga'));
  expect(sameCancelled).toEqual(cancelled);
  const next = await world.request('signed', commits[0] ?? '');
  await twice(
    'voice',
    () => promotions.reject(next.id, 'no', 'bob'),
    () => world.reaches(next.id, 'refused'),
  );
  const { items } = await world.useCases.audit.list({ limit: 100 });
  for (const action of ['promotion.cancel', 'release.mix', 'promotion.rejected'])
    expect(items.filter((item) => item.action === action)).toHaveLength(1);
});

test('a hold that was lifted meanwhile does not come back with the request that set it', async () => {
  const { environments } = world.useCases;
  await twice(
    'hold',
    () => environments.hold(world.project, 'dev', 'a look at it', 'olga'),
    () => environments.resume(world.project, 'dev', 'bob'),
  );
  expect((await world.environment('dev')).hold).toBeNull();
});

test('a removal that is asked for again when all is gone has the same answer', async () => {
  const { projects } = world.useCases;
  const [first, again] = await twice(
    'removal',
    () => projects.remove(world.project, 'olga'),
    () => until(async () => !(await projects.list()).some(({ name }) => name === world.project) || null),
  );
  expect(again.id).toBe(first.id);
});
