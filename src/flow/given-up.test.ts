import { afterAll, beforeAll, expect, test } from 'vitest';

import { markUnneeded } from './care/needed-artifacts.ts';
import { createUseCases } from './use-cases/create.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const config = `
services:
  web: { path: services/web, build: text }
environments:
  qa: { on: { merge: main }, deploy: stage, settle: 0ms, keep: 1 }
`;

const MONTH_MS = 31 * 86_400_000;

let world: World;

beforeAll(async () => {
  world = await createWorld('tidy', config, { says: { web: 'hello' } });
}, 120_000);

afterAll(() => world.end());

/** The same installation, looked at now and again after a month in which nothing happened. */
async function aMonthLater() {
  await markUnneeded(world.house.store.db, new Date(), new Date());
  const now = Date.now() + MONTH_MS;
  return createUseCases({ ...world.house, clock: { now: () => now, elapsed: () => now } }).registry;
}

async function ran(text: string): Promise<{ commit: string; digest: string }> {
  const commit = await world.push({ says: { web: text } });
  await world.live('qa', commit);
  const { services } = await world.useCases.releases.show(world.project, commit);
  return { commit, digest: services[0]?.digest ?? expect.unreachable() };
}

function isThere(reference: string): Promise<boolean> {
  return world.house.registry.manifest('tidy/web', reference).then((held) => held !== null);
}

async function isReady(commit: string): Promise<boolean> {
  return (await world.useCases.releases.show(world.project, commit)).state === 'ready';
}

test('an old artifact goes, what runs and can be rolled back to stays, and the old release comes back when it is built again', async () => {
  const [first, second, third] = [await ran('first'), await ran('second'), await ran('third')];
  const { number } = await world.useCases.releases.show(world.project, first.commit);

  const { givesUp } = await (await aMonthLater()).sweep({ dryRun: true }, 'olga');
  expect(givesUp).toContainEqual(expect.objectContaining({ service: 'web', release: number, digest: first.digest }));
  expect(givesUp.map(({ digest }) => digest)).not.toContain(second.digest);
  expect(givesUp.map(({ digest }) => digest)).not.toContain(third.digest);
  expect(await isReady(first.commit)).toBe(true);

  await (await aMonthLater()).sweep({}, 'olga');
  expect(await isThere(first.digest)).toBe(false);
  expect(await isThere(first.commit.slice(0, 12))).toBe(false);
  for (const { digest, commit } of [second, third]) {
    expect(await isThere(digest)).toBe(true);
    expect(await isThere(commit.slice(0, 12))).toBe(true);
  }

  const { id } = await world.request('qa', first.commit);
  const { reasons } = await world.reaches(id, 'refused');
  expect(JSON.stringify(reasons)).toContain('`towpath build RELEASE` brings it back');
  await expect(
    world.useCases.environments.rollback({ project: world.project, environment: 'qa', to: first.commit }, 'olga'),
  ).rejects.toThrow('`towpath build` with its number brings them back');

  world.holds.hold('build first');
  await world.useCases.releases.retry(world.project, first.commit, 'olga');
  await world.holds.reached('build first');
  await (await aMonthLater()).sweep({}, 'olga');
  world.holds.release('build first');
  await until(() => isReady(first.commit));
  expect(await isThere(first.digest)).toBe(true);
  await world.reaches((await world.request('qa', first.commit)).id, 'live');
  expect(world.runs('qa')).toEqual({ web: 'first' });
  await world.useCases.environments.resume(world.project, 'qa', 'olga');
});

test('a push that brings the same contents again builds them again, and asks for nothing on behalf of old releases', async () => {
  const old = await ran('returns');
  await ran('between');
  await ran('last');
  await (await aMonthLater()).sweep({}, 'olga');
  expect(await isThere(old.digest)).toBe(false);
  const again = await ran('returns');
  expect(again.digest).toBe(old.digest);
  expect(world.runs('qa')).toEqual({ web: 'returns' });
  expect(await isReady(old.commit)).toBe(true);
  const { promotions } = await world.useCases.releases.show(world.project, old.commit);
  expect(promotions).toHaveLength(1);
});

test('where nothing yanked is kept, it goes with all its names once nothing runs it, and comes back when the yank is lifted', async () => {
  await world.push({ files: { 'towpath.yaml': `project: tidy\n${config}\nyank: { delete: true }\n` } });
  const good = await ran('good');
  const bad = await ran('bad');
  await world.git('tag', 'v9', bad.commit);
  await world.poll();
  await until(() => isThere('v9'));
  const { project, useCases } = world;
  await useCases.releases.yank(project, bad.commit, 'wrong tax', 'olga');
  expect((await useCases.registry.sweep({}, 'olga')).givesUp).toEqual([]);
  expect(await isThere('v9')).toBe(true);

  await useCases.environments.rollback({ project, environment: 'qa' }, 'olga');
  await until(async () => world.runs('qa')['web'] === 'good');
  await world.promotion('qa', good.commit, 'live');
  const { number } = await useCases.releases.show(project, bad.commit);
  const { givesUp } = await useCases.registry.sweep({ dryRun: true }, 'olga');
  expect(givesUp).toMatchObject([
    {
      release: number,
      digest: bad.digest,
      reasons: [expect.stringMatching(/part of yanked releases alone \(since .*: wrong tax\)/)],
    },
  ]);
  await (await aMonthLater()).sweep({}, 'olga');
  for (const name of [bad.digest, bad.commit.slice(0, 12), 'v9']) expect(await isThere(name)).toBe(false);
  expect(await isThere(good.digest)).toBe(true);
  await expect(useCases.releases.retry(project, bad.commit, 'olga')).rejects.toMatchObject({ code: 'release.yanked' });

  const lifted = await useCases.releases.unyank(project, bad.commit, 'olga');
  expect(lifted).toMatchObject({ yank: null, state: 'building' });
  await until(() => isReady(bad.commit));
  expect(await isThere(bad.digest)).toBe(true);
});
