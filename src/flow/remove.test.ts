import { afterAll, beforeAll, expect, test } from 'vitest';

import { DeployError } from '../deploy/deploy-error.ts';
import { nextDueAt } from '../source/poll-store.ts';
import { wakeRepository } from '../source/wake-store.ts';
import { removalId } from './create-flows.ts';
import type { EnvironmentDetail } from './view/environment.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

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

test('an environment that the path names no more during its first deployment is kept, and says so', async () => {
  world.holds.hold('deploy early');
  const commit = await lay({ staging: '{ on: manual, deploy: stage, settle: 0ms }' }, 'early');
  const asked = await world.request('staging', commit);
  await world.reaches(asked.id, 'deploying');
  await lay({});
  world.holds.release('deploy early');
  await world.live('staging', commit);
  expect(world.runs('staging')).toEqual({ web: 'early' });
  expect((await world.environment('staging')).named).toBe(false);
  const { headline, reasons } = await world.useCases.why(world.project, 'staging');
  expect(headline).toContain('is not named in towpath.yaml any more');
  expect(reasons[0]?.fix).toContain('towpath env remove staging');
  await world.useCases.environments.remove(world.project, 'staging', 'olga');
  await gone('staging');
  await expect(world.useCases.environments.remove(world.project, 'qa', 'olga')).rejects.toMatchObject({
    code: 'environment.not-a-preview',
  });
});

test('what a first deployment left behind goes when the path names its environment no more', async () => {
  const commit = await lay({ trial: '{ on: manual, deploy: stage, settle: 0ms, onFailure: keep }' }, 'broken trial');
  const asked = await world.request('trial', commit);
  await world.reaches(asked.id, 'failed');
  expect((await world.environment('trial')).current).toBeNull();
  await lay({}, 'sound again');
  await gone('trial');
});

test('what runs in an environment of the path is taken down, by every driver that has some of it, and it stays empty', async () => {
  const commit = await lay({ manual: '{ on: manual, deploy: stage, settle: 0ms }' }, 'runs');
  await world.reaches((await world.request('manual', commit)).id, 'live');
  await lay({ manual: '{ on: manual, deploy: other, settle: 0ms }' }); // what runs is still the first driver's
  const asked = await world.useCases.environments.stop(world.project, 'manual', 'a leak', 'olga');
  expect(asked).toMatchObject({ hold: { reason: 'stopped: a leak', by: 'olga' } });
  const empty = await emptied('manual');
  expect(world.runs('manual')).toEqual({});
  expect(empty).toMatchObject({ current: null, services: [], hold: { by: 'olga' }, named: true });
  const { items } = await world.useCases.audit.list({ limit: 5, subject: 'manual', project: world.project });
  expect(items[0]).toMatchObject({ action: 'environment.stop', actor: 'olga', detail: { reason: 'a leak' } });
  const { db } = world.house.store;
  const events = await db.selectFrom('event').select('kind').where('subject', '=', empty.id).orderBy('id').execute();
  expect(events.map(({ kind }) => kind)).toEqual([
    'environment.created',
    'environment.stopping',
    'environment.stopped',
  ]);
  const back = await world.useCases.environments.rollback({ project: world.project, environment: 'manual' }, 'olga');
  if (back.kind === 'started') await world.reaches(back.promotion.id, 'live');
  expect(world.runs('manual')).toEqual({ web: 'runs' });
  await world.useCases.environments.stop(world.project, 'manual', undefined, 'olga');
  await emptied('manual');
  expect(world.runs('manual')).toEqual({});
});

test('a stop ends the deployment that is under way, and what is pushed afterwards waits for a resume', async () => {
  await world.useCases.environments.resume(world.project, 'qa', 'olga');
  world.holds.hold('deploy under way');
  const commit = await world.push({ says: { web: 'under way' } });
  const { id } = await world.promotion('qa', commit, 'deploying');
  await world.useCases.environments.stop(world.project, 'qa', undefined, 'olga');
  expect((await world.reaches(id, 'cancelled')).headline).toContain('the stop of its environment');
  await emptied('qa');
  world.holds.release('deploy under way');
  expect(world.runs('qa')).toEqual({});
  const next = await world.push({ says: { web: 'after the stop' } });
  expect((await world.promotion('qa', next, 'waiting')).reasons).toMatchObject([{ gate: 'hold' }]);
  await world.useCases.environments.resume(world.project, 'qa', 'olga');
  await world.live('qa', next);
});

test('what is asked for while a stop is under way waits for its end, and a resume calls the stop off', async () => {
  const commit = await world.git('rev-parse', 'main');
  await world.useCases.environments.resume(world.project, 'manual', 'olga');
  await world.reaches((await world.request('manual', commit)).id, 'live');
  world.holds.hold('destroy manual');
  await world.useCases.environments.stop(world.project, 'manual', undefined, 'olga');
  await world.holds.reached('destroy manual');
  const { id } = await world.request('manual', commit);
  expect((await world.reaches(id, 'waiting')).reasons).toMatchObject([{ gate: 'stop' }]);
  await world.useCases.environments.resume(world.project, 'manual', 'olga');
  expect((await world.environment('manual')).stopAskedAt).toBeNull();
  world.holds.release('destroy manual');
  await world.reaches(id, 'live');
});

test('what cannot be taken down says so, and why, until it is or nobody wants it any more', async () => {
  const driver = world.house.drivers.get('other');
  const away = { code: 'docker.unreachable', what: 'No engine answers.', fix: 'Start it.' };
  const sound = { ...driver };
  Object.assign(driver ?? {}, { destroy: () => Promise.reject(new DeployError(away)) });
  await world.useCases.environments.stop(world.project, 'manual', undefined, 'olga');
  const said = await until(async () => (await world.environment('manual')).endProblem);
  expect(said).toEqual({
    code: away.code,
    what: 'What runs there cannot be taken down, and it is tried again: No engine answers.',
    fix: 'Start it.',
  });
  expect((await world.useCases.why(world.project, 'manual')).reasons).toContainEqual({
    gate: 'end',
    what: said.what,
    fix: said.fix,
    until: null,
  });
  await world.useCases.environments.resume(world.project, 'manual', 'olga');
  await until(async () => ((await world.environment('manual')).endProblem === null ? true : null));
  Object.assign(driver ?? {}, sound);
  await world.useCases.environments.stop(world.project, 'manual', undefined, 'olga');
  expect(await emptied('manual')).toMatchObject({ endProblem: null, services: [] });
});

test('a project that is removed takes down all that runs in it, is watched no more, and its name is free again', async () => {
  const { useCases, project } = world;
  await useCases.environments.resume(project, 'qa', 'olga');
  const commit = await world.push({ branch: 'feature/last', from: 'main', says: { web: 'last' } });
  const { name } = await world.live('feature/last', commit);
  const { id, repositories } = await useCases.projects.show(project);
  expect((await useCases.projects.remove(project, 'olga')).endingSince).not.toBeNull();
  await until(async () => ((await useCases.projects.list()).length === 0 ? true : null));
  for (const place of ['qa', 'manual', name]) expect(world.runs(place)).toEqual({});
  await expect(useCases.projects.show(project)).rejects.toMatchObject({ code: 'project.unknown' });
  const { db } = world.house.store;
  await world.commit({ says: { web: 'nobody looks' } });
  expect(await nextDueAt(db)).toBeNull();
  expect(await wakeRepository(db, repositories[0]?.id ?? '', Date.now())).toBe(false);
  const { items } = await useCases.audit.list({ limit: 3, subject: id });
  expect(items.map(({ action }) => action)).toContain('project.remove');
  const again = await useCases.projects.add({ url: repositories[0]?.url ?? '' }, 'olga');
  expect(again).toMatchObject({ name: project, endingSince: null });
  expect(again.id).not.toBe(id);
  await world.poll();
  await world.live('qa', await world.git('rev-parse', 'main'));
});

/** Waits until a stop is over. */
function emptied(name: string): Promise<EnvironmentDetail> {
  return until(async () => {
    const found = await world.environment(name);
    return found.stopAskedAt === null ? found : null;
  });
}

/** Pushes a path to main, and waits until it is laid. @returns the commit */
async function lay(more: Readonly<Record<string, string>>, says?: string): Promise<string> {
  const text = `project: endings\n${path(more)}`;
  const commit = await world.push({
    files: { 'towpath.yaml': text },
    ...(says === undefined ? {} : { says: { web: says } }),
  });
  await until(async () => {
    const { db } = world.house.store;
    const laid = await db
      .selectFrom('repository')
      .select('config_commit')
      .where('config_commit', '=', commit)
      .executeTakeFirst();
    const { items } = await world.useCases.releases.list(world.project, { limit: 5 });
    return laid !== undefined && items.some((one) => one.commit === commit && one.state === 'ready') ? true : null;
  });
  return commit;
}

/** Waits until the environment is gone, and nothing of it runs. */
async function gone(name: string): Promise<void> {
  await until(async () => {
    const all = await world.useCases.environments.list(world.project);
    return all.some((one) => one.name === name) ? null : true;
  });
  expect(world.runs(name)).toEqual({});
}
