import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { RegistryError, type RegistryErrorCode } from '../registry/error.ts';
import { reconcile } from './care/lost-work.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';
import { unreadyText } from './view/unready.ts';

const config = `
services:
  web: { path: services/web, build: text, checks: { unit: { run: test } } }
environments:
  preview: { on: { branch: 'feature/*' }, ephemeral: { ttl: 1d }, accepts: any, deploy: stage, settle: 0ms }
  named: { on: { branch: 'named/*' }, accepts: any, deploy: stage, settle: 0ms }
  gated: { on: manual, gates: [unit], deploy: stage, settle: 0ms }
`;

let world: World;
let first: string;
/** Image tag -> with what the registry refuses to set it. */
const refusals = new Map<string, RegistryErrorCode>();
/** Base image -> with what its registry refuses to say what it is. */
const refusedBases = new Map<string, RegistryErrorCode>();

beforeAll(async () => {
  world = await createWorld('outage', config, { says: { web: 'hello' } });
  first = await world.git('rev-parse', 'main');
  world.isAway = (tag) => {
    const code = refusals.get(tag);
    if (code === undefined) return false;
    throw new RegistryError({ code, what: 'The registry does not do it.', fix: 'Wait for it.' });
  };
  world.baseOf = async (reference) => {
    const code = refusedBases.get(reference);
    if (code === undefined) return world.bases[reference] ?? null;
    throw new RegistryError({ code, what: 'The registry says no.', fix: 'Log in.' });
  };
}, 120_000);

afterAll(() => world.end());

test.concurrent.for([
  ['away', 'registry.unavailable'],
  ['closed', 'registry.denied'],
] as const)('a release that could not be named, for the registry is %s, goes its way later', async ([branch, code]) => {
  const commit = await world.commit({ branch: `named/${branch}`, from: 'main', says: { web: branch } });
  refusals.set(commit.slice(0, 12), code);
  await world.poll();
  await told('release.unnamed', `refs/heads/named/${branch}`);
  refusals.delete(commit.slice(0, 12));
  await world.live('named', commit);
});

test.concurrent('a check that could not be asked is asked again by whoever still waits for it', async () => {
  world.answer = () => {
    throw new Error('no runner answers');
  };
  const { id } = await world.request('gated', first);
  await world.reaches(id, 'waiting');
  await told('check.unanswered', null);
  world.answer = () => ({ kind: 'exited', code: 0 });
  await world.useCases.environments.hold(world.project, 'gated', 'a reason to look again', 'olga');
  await world.useCases.environments.resume(world.project, 'gated', 'olga');
  await world.reaches(id, 'live');
});

test.concurrent('a branch that comes back while its preview is being removed has a preview again', async () => {
  const branch = 'feature/phoenix';
  const before = await world.push({ branch, from: 'main', says: { web: 'ashes' } });
  const { id, name } = await world.live(branch, before);
  world.holds.hold(`destroy ${name}`);
  await world.git('update-ref', '-d', `refs/heads/${branch}`);
  await world.poll();
  await world.holds.reached(`destroy ${name}`);
  const after = await world.push({ branch, from: 'main', says: { web: 'phoenix' } });
  await world.promotion(branch, after, 'waiting');
  world.holds.release(`destroy ${name}`);
  expect((await world.live(branch, after)).id).toBe(id);
  expect(world.runs(name)).toEqual({ web: 'phoenix' });
  await world.git('update-ref', '-d', `refs/heads/${branch}`);
});

test.concurrent('a base image that is missing, or whose registry refuses, is told with the service that asks for it', async () => {
  refusedBases.set('shut.example/base:1', 'registry.denied');
  const push = (base: string, branch: string) =>
    world.push({ branch, from: 'main', files: { 'services/web/base': base } });
  const problemOf = (commit: string) =>
    until(async () => (await world.useCases.releases.show(world.project, commit).catch(() => null))?.problem ?? null);
  expect(await problemOf(await push('gone.example/base:1', 'base/gone'))).toMatchObject({
    code: 'artifact.no-base',
    what: 'Service "web" builds on gone.example/base:1, which is not in its registry.',
  });
  expect(await problemOf(await push('shut.example/base:1', 'base/shut'))).toMatchObject({
    code: 'registry.denied',
    what: 'Service "web" builds on shut.example/base:1, which cannot be looked up: The registry says no.',
  });
});

test.concurrent('a commit that cannot be planned while a registry is away waits for it, up to a day, and is told of once', async () => {
  const { db } = world.house.store;
  const reference = 'away.example/base:1';
  refusedBases.set(reference, 'registry.unreachable');
  const pushed = (branch: string) =>
    world.commit({ branch, from: 'main', says: { web: branch }, files: { 'services/web/base': reference } });
  const patient = await pushed('named/patient');
  const late = await pushed('named/late');
  await world.poll();
  const waiting = await planned(patient);
  expect(waiting).toMatchObject({ state: 'building', problem: { code: 'registry.unreachable' } });
  const words = `Service "web" builds on ${reference}, which cannot be looked up: The registry says no. It is planned again`;
  const { projects } = await world.useCases.matrix(world.project);
  const unready = projects[0]?.unready.map(unreadyText);
  expect(unready).toContainEqual(expect.stringContaining(`(named/patient) waits: ${words}`));
  expect((await world.useCases.why(world.project, patient)).reasons[0]?.what).toContain(words);
  const { id } = await world.request('gated', patient);
  expect(await world.says(id, words)).toMatchObject({ state: 'waiting' });

  await planned(late);
  await seenEarlier(late, '1 day');
  await Promise.all([patient, late].map((commit) => ingested(commit, 1)));
  expect(await planned(late)).toMatchObject({ state: 'failed' });
  expect(await planned(patient)).toMatchObject({ state: 'building' });
  refusedBases.delete(reference);
  world.bases[reference] = sha256('a base');
  await seenEarlier(patient, '1 minute');
  await reconcile(world.house, world.engine);
  await world.live('named', patient);
  await world.reaches(id, 'live');
  const told = await db.selectFrom('event').select('kind').where('subject', '=', waiting.id).orderBy('id').execute();
  const kinds = told.map(({ kind }) => kind).filter((kind) => kind.startsWith('release.'));
  expect(kinds).toEqual(['release.cut', 'release.planned', 'release.ready']);
});

test('why of an environment says that what is pushed is not seen', async () => {
  const { db } = world.house.store;
  const problem = { code: 'git.unreachable', what: 'git.example does not answer.', fix: 'Look at the way there.' };
  const gate = async () =>
    (await world.useCases.why(world.project, 'gated')).reasons.find(({ gate }) => gate === 'repository');
  expect(await gate()).toBeUndefined();
  await sql`update repository set poll_error = ${JSON.stringify(problem)}::jsonb`.execute(db);
  expect(await gate()).toMatchObject({ what: expect.stringContaining(problem.what) as string, fix: problem.fix });
  await world.poll();
  expect(await gate()).toBeUndefined();
});

async function planned(commit: string) {
  return until(async () => {
    const found = await world.useCases.releases.show(world.project, commit).catch(() => null);
    return found === null || found.problem === null ? null : found;
  });
}

/** Takes the commit in once more, and waits until that is over. */
async function ingested(commit: string, again: number): Promise<void> {
  const { db, transaction } = world.house.store;
  const { id } = await db
    .selectFrom('ref_event')
    .select('id')
    .where('after_sha', '=', commit)
    .executeTakeFirstOrThrow();
  await transaction((tx) => world.house.starts.ingest(tx, id, again));
  expect(await world.engine.ended(`ingest:${id}:${again}`)).toMatchObject({ kind: 'done' });
}

async function seenEarlier(commit: string, by: string): Promise<void> {
  await sql`update ref_event set seen_at = seen_at - ${by}::interval where after_sha = ${commit}`.execute(
    world.house.store.db,
  );
}

/** Waits for an event of that kind, about that ref where one is given. */
async function told(kind: string, ref: string | null): Promise<void> {
  const { db } = world.house.store;
  await until(
    async () => {
      const events = await db.selectFrom('event').select('data').where('kind', '=', kind).execute();
      return events.some(({ data }) => ref === null || JSON.stringify(data).includes(ref)) ? true : null;
    },
    () => kind,
    120_000,
  );
}
