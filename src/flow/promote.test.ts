import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { lockEnvironment } from '../environment/environment-store.ts';
import { openPromotions } from '../path/promotion-list-store.ts';
import { lockPromotion } from '../path/promotion-store.ts';
import { reconcile } from './care/lost-work.ts';
import type { SourceFiles } from '../deploy/driver.ts';
import { RegistryError } from '../registry/error.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const config = `
services:
  web: { path: services/web, build: text }
  api: { path: services/api, build: text }
environments:
  preview: { on: { branch: 'feature/*' }, ephemeral: { ttl: 1d }, accepts: any, deploy: stage, settle: 0ms }
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
  brief: { on: manual, from: qa, deploy: stage, settle: 0ms, timeout: 10s }
`;

let world: World;
/** What qa runs when a test begins. */
let base: string;

beforeAll(async () => {
  world = await createWorld('ordered', config, { says: { web: 'hello', api: 'sums' } });
}, 120_000);

afterAll(() => world.end());

let count = 0;
beforeEach(async () => {
  count += 1;
  await world.useCases.environments.resume(world.project, 'qa', 'olga');
  base = await world.push({ says: { web: `base ${count}` } });
  await world.live('qa', base);
});

test('an older commit whose build ends later does not overwrite the newer one', async () => {
  world.holds.hold('build slow');
  const older = await world.push({ says: { web: 'slow' } });
  await world.holds.reached('build slow');
  const newer = await world.push({ says: { web: 'quick' } });
  await world.live('qa', newer);
  world.holds.release('build slow');
  expect((await world.promotion('qa', older, 'refused')).headline).toContain('is older than');
  expect(world.runs('qa')['web']).toBe('quick');
});

test('of what waits out a hold by itself only the newest goes in', async () => {
  await world.useCases.environments.hold(world.project, 'qa', 'audit', 'olga');
  const older = await world.push({ says: { web: 'waits' } });
  await world.promotion('qa', older, 'waiting');
  const newer = await world.push({ says: { web: 'waits longer' } });
  const waiting = await world.promotion('qa', newer, 'waiting');
  const gone = await world.promotion('qa', older, 'superseded');
  expect(gone.headline).toContain(`promotion ${waiting.number}`);
  await world.useCases.environments.resume(world.project, 'qa', 'olga');
  await world.live('qa', newer);
  expect((await world.promotion('qa', older, 'superseded')).id).toBe(gone.id);
});

test('a look that began before the environment was held decides nothing any more', async () => {
  await world.useCases.environments.hold(world.project, 'qa', 'audit', 'olga');
  const commit = await world.push({ says: { web: 'looked at too early' } });
  const { id } = await world.promotion('qa', commit, 'waiting');
  world.holds.hold('git');
  await world.useCases.environments.resume(world.project, 'qa', 'olga');
  await world.holds.reached('git');
  await world.useCases.environments.hold(world.project, 'qa', 'a second audit', 'olga');
  world.holds.release('git');
  await world.says(id, 'a second audit');
  expect(world.runs('qa')['web']).toBe(`base ${count}`);
});

test('of what queues behind a deployment by itself only the newest goes in; what a person asked for stays', async () => {
  world.holds.hold('deploy long');
  const first = await world.push({ says: { web: 'long' } });
  await world.holds.reached('deploy long');
  const second = await world.push({ says: { web: 'queued' } });
  expect((await world.promotion('qa', second, 'waiting')).reasons).toMatchObject([{ gate: 'lock' }]);
  const byItself = await world.promotion('qa', second, 'waiting');
  const asked = await world.request('qa', second);
  await world.reaches(asked.id, 'waiting');
  const third = await world.push({ says: { web: 'queued last' } });
  await world.reaches(byItself.id, 'superseded');
  await world.promotion('qa', third, 'waiting');
  expect(await world.useCases.promotions.show(asked.id)).toMatchObject({ state: 'waiting', automatic: false });
  await world.useCases.promotions.cancel(asked.id, 'olga');
  world.holds.release('deploy long');
  await world.promotion('qa', first, 'live');
  await world.live('qa', third);
});

test('a person may step back to an older release, and that holds the environment', async () => {
  const newer = await world.push({ says: { web: 'too new' } });
  await world.live('qa', newer);
  const asked = await world.request('qa', base);
  await world.reaches(asked.id, 'live');
  const { hold, current } = await world.environment('qa');
  expect(hold?.reason).toContain('stepped back to an older release');
  expect(current?.commit).toBe(base);
  const next = await world.push({ says: { web: 'newer still' } });
  expect((await world.promotion('qa', next, 'waiting')).reasons).toMatchObject([{ gate: 'hold' }]);
});

test('a preview follows its branch where that is rewritten, and never goes back to what the branch has left', async () => {
  const branch = 'feature/rewritten';
  world.holds.hold('build left behind');
  const begun = await world.push({ branch, from: 'main', says: { web: 'begun' } });
  await world.live(branch, begun);
  const left = await world.push({ branch, says: { web: 'left behind' } });
  await world.holds.reached('build left behind');
  await world.git('update-ref', `refs/heads/${branch}`, 'main');
  const rewritten = await world.push({ branch, says: { web: 'rewritten' } });
  await world.live(branch, rewritten);
  world.holds.release('build left behind');
  await world.promotion(branch, left, 'refused');
  await world.git('update-ref', `refs/heads/${branch}`, begun);
  await world.poll();
  await world.live(branch, begun);
});

test('a promotion that waits can be cancelled, once', async () => {
  await world.useCases.environments.hold(world.project, 'qa', 'audit', 'olga');
  const commit = await world.push({ says: { web: 'unwanted' } });
  const { id } = await world.promotion('qa', commit, 'waiting');
  expect(await world.useCases.promotions.cancel(id, 'olga')).toMatchObject({
    state: 'cancelled',
    headline: 'Cancelled by olga.',
  });
  await expect(world.useCases.promotions.cancel(id, 'olga')).rejects.toMatchObject({ code: 'promotion.ended' });
  expect((await world.environment('qa')).open).toEqual([]);
});

test('cancelled half way, a promotion leaves what ran before, and the next one is not held', async () => {
  world.holds.hold('deploy second half');
  const commit = await world.push({ says: { api: `first half ${count}`, web: 'second half' } });
  await world.holds.reached('deploy second half');
  const { id } = await world.promotion('qa', commit, 'deploying');
  expect(world.runs('qa')).toMatchObject({ api: `first half ${count}`, web: `base ${count}` });
  await world.useCases.promotions.cancel(id, 'olga');
  const back = await putBack();
  expect(back).toMatchObject({ state: 'live', automatic: true });
  expect(world.runs('qa')['api']).not.toBe(`first half ${count}`);
  expect(await world.environment('qa')).toMatchObject({ current: { commit: base }, hold: null });
  world.holds.release('deploy second half');
  await world.live('qa', await world.push({ says: { web: 'after the cancel' } }));
});

test('one that takes too long says what it was at', async () => {
  const commit = await world.push({ says: { web: 'too slow' } });
  await world.live('qa', commit);
  world.holds.hold('deploy too slow');
  await world.request('brief', commit);
  expect((await world.promotion('brief', commit, 'failed')).headline).toContain(
    'took longer than 10 s. The last that its driver said is: deploy too slow.',
  );
  world.holds.release('deploy too slow');
});

test('cancelled between two steps, a promotion frees the lane, though its time is not over and the next one is being decided', async () => {
  world.holds.hold('tag env-qa');
  const commit = await world.push({ says: { web: 'never in' } });
  await world.holds.reached('tag env-qa');
  const { id } = await world.promotion('qa', commit, 'tagging');
  const later = new Date(Date.now() + 3_600_000);
  await world.useCases.promotions.cancel(id, 'olga');
  await world.house.store.transaction(async (tx) => {
    const environmentId = (await lockPromotion(tx, id))?.environmentId ?? '';
    await lockEnvironment(tx, environmentId);
    for (const { id: next } of await openPromotions(tx, [environmentId])) await lockPromotion(tx, next);
    world.holds.release('tag env-qa');
    await until(async () => (await waiting()) === 2); // who leaves, and who decides of what ran before
    await tx.updateTable('lane').set({ until: later }).where('holder', '=', id).execute();
  });
  await putBack();
  expect(world.runs('qa')['web']).toBe(`base ${count}`);
});

/** How many wait for a row that somebody else has locked. */
async function waiting(): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*)::int as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`.execute(world.house.store.db);
  return rows[0]?.count ?? 0;
}

test('a yank ends the deployment that brings the artifacts in, and what ran before comes back', async () => {
  world.holds.hold('deploy tainted');
  const commit = await world.push({ says: { web: 'tainted' } });
  await world.holds.reached('deploy tainted');
  await world.useCases.releases.yank(world.project, commit, 'wrong tax', 'olga');
  expect(await world.promotion('qa', commit, 'refused')).toMatchObject({
    headline: 'It was yanked under way: wrong tax',
    reasons: [{ gate: 'yank' }],
  });
  await putBack();
  expect(world.runs('qa')['web']).toBe(`base ${count}`);
});

test('what cannot be named is not brought in: nothing is touched, the name goes back, and nothing is held', async () => {
  world.holds.hold(`deploy base ${count}`);
  const named: string[] = []; // to keep it, which comes last
  world.isAway = (tag) => {
    if (!tag.startsWith('keep-') || named.push(tag) > 1) return false;
    throw new RegistryError({ code: 'registry.denied', what: 'The registry does not let us.', fix: 'Ask its owner.' });
  };
  const commit = await world.push({ says: { web: 'nameless' } });
  const { headline } = await world.promotion('qa', commit, 'failed');
  expect(headline).toContain('Nothing that runs there was touched.');
  const { services } = await world.useCases.releases.show(world.project, base);
  for (const { service, digest } of services)
    expect(await world.house.registry.manifest(`ordered/${service}`, 'env-qa')).toMatchObject({ digest });
  expect(world.runs('qa')['web']).toBe(`base ${count}`);
  expect(await world.environment('qa')).toMatchObject({ current: { commit: base }, hold: null });
  world.isAway = () => false;
  world.holds.release(`deploy base ${count}`);
  await world.reaches((await world.request('qa', commit)).id, 'live');
});

test('a lane that was lost, but to nobody, is entered again', async () => {
  world.holds.hold('deploy long way');
  const commit = await world.push({ says: { web: 'long way' } });
  await world.holds.reached('deploy long way');
  const { id } = await world.environment('qa');
  const { db } = world.house.store;
  await db.updateTable('lane').set({ holder: null, until: null }).where('environment_id', '=', id).execute();
  await until(async () => {
    const lane = await db.selectFrom('lane').select('holder').where('environment_id', '=', id).executeTakeFirst();
    return lane?.holder ?? null;
  });
  world.holds.release('deploy long way');
  await world.live('qa', commit);
});

test('what ran before and was yanked meanwhile is not put back after a failure either', async () => {
  world.holds.hold('deploy broken badly');
  const commit = await world.push({ says: { web: 'broken badly' } });
  await world.holds.reached('deploy broken badly');
  await world.useCases.releases.yank(world.project, base, 'wrong tax', 'olga');
  world.holds.release('deploy broken badly');
  expect((await world.promotion('qa', commit, 'failed')).headline).toContain('is yanked (wrong tax)');
  expect((await world.environment('qa')).hold?.reason).toContain('is yanked (wrong tax)');
});

test('a yank lets what runs already be', async () => {
  world.holds.hold(`deploy base ${count}`);
  const again = await world.push({ files: { 'README.md': `Read ${count}.\n` } });
  await world.holds.reached(`deploy base ${count}`);
  await world.useCases.releases.yank(world.project, base, 'wrong tax', 'olga');
  world.holds.release(`deploy base ${count}`);
  await world.live('qa', again);
});

test('a promotion whose work was lost fails, what ran before comes back, and the environment is held', async () => {
  world.holds.hold('deploy lost');
  const commit = await world.push({ says: { web: 'lost' } });
  await world.holds.reached('deploy lost');
  const { id } = await world.promotion('qa', commit, 'deploying');
  const { store, starts } = world.house;
  const { runs } = await store.db.selectFrom('promotion').select('runs').where('id', '=', id).executeTakeFirstOrThrow();
  await starts.cancelPromotion(id, runs);
  const longAgo = new Date(Date.now() - 60_000);
  await store.db.updateTable('promotion').set({ changed_at: longAgo }).where('id', '=', id).execute();
  await reconcile(world.house, world.engine);
  expect((await world.promotion('qa', commit, 'failed')).headline).toContain('Its work ended without a result.');
  await putBack();
  expect(world.runs('qa')['web']).toBe(`base ${count}`);
  expect((await world.environment('qa')).hold?.reason).toContain('failed');
});

/** Waits for the rollback that puts `base` back. */
function putBack() {
  return until(async () => {
    const [newest] = (await world.environment('qa')).history;
    return newest?.kind === 'rollback' && newest.release.commit === base && newest.state === 'live' ? newest : null;
  });
}

test('a driver is given the files of the repository as the commit of the release has them', async () => {
  const driver = world.house.drivers.get('stage');
  if (driver === undefined) throw new Error('There is no driver "stage".');
  const apply = driver.apply.bind(driver);
  const given = new Map<string, SourceFiles | undefined>();
  driver.apply = (desired, actions, context) => {
    given.set(desired.promotion?.commit ?? '', desired.source);
    return apply(desired, actions, context);
  };
  try {
    const files = { 'deploy/compose.yaml': 'of this commit', 'deploy/conf/a': 'a' };
    const commit = await world.push({ says: { web: 'described' }, files });
    await world.live('qa', commit);
    const later = await world.push({
      says: { web: 'described anew' },
      files: { 'deploy/compose.yaml': 'of a later one' },
    });
    await world.live('qa', later);
    const source = given.get(commit);
    const read = async (path: string): Promise<string | null> =>
      (await source?.file(path, 100).then((bytes) => (bytes === null ? null : Buffer.from(bytes).toString()))) ?? null;
    expect(await read('deploy/compose.yaml')).toBe('of this commit');
    expect([await read('deploy'), await read('none')]).toEqual([null, null]);
    expect(await source?.list('deploy')).toEqual(['compose.yaml', 'conf/a']);
    expect(await source?.list('none')).toEqual([]);
    await expect(source?.file('deploy/compose.yaml', 3)).rejects.toMatchObject({ code: 'git.too-large' });
  } finally {
    driver.apply = apply;
  }
});
