import { afterAll, beforeAll, expect, test } from 'vitest';

import { environmentsOf } from '../environment/environment-store.ts';
import type { SourceTree } from '../git/tree.ts';
import type { HostApi } from '../source/host-access.ts';
import { endClosedPulls } from './care/closed-pulls.ts';
import { requireIsolation } from './strangers.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const OWN = "preview: { on: { branch: 'feature/*' }, ephemeral: {}, deploy: stage, settle: 0ms }";
const FORKS = 'forks: { on: { pull-request: forks }, ephemeral: { ttl: 3d }, deploy: stage, settle: 0ms }';
const QA = 'qa: { on: { merge: main }, deploy: stage, settle: 0ms }';

let world: World;

beforeAll(async () => {
  world = await createWorld('pulls', path(QA, OWN), { says: { web: 'hello' } });
  await world.useCases.projects.change(world.project, { host: 'github' }, 'olga');
}, 120_000);

afterAll(() => world.end());

test('pull requests are not even listed where the path does not ask for them', async () => {
  await openPull(1, 'old');
  await world.poll();
  expect(await refs()).toEqual(['refs/heads/main']);
});

test('those that were there before the path asked stay as they are', async () => {
  const text = path(QA, OWN, FORKS);
  const laid = await world.push({ files: { 'towpath.yaml': `project: ${world.project}\n${text}` } });
  await world.live('qa', laid);
  await world.poll();
  expect(await refs()).toEqual(['refs/heads/main', 'refs/pull/1/head']);
  await idle();
  expect(await previews()).toEqual([]);
});

test('a pull request of a fork gets a preview, by the rules of the default branch and not by its own', async () => {
  const own = path(QA, 'forks: { on: manual, deploy: other, secrets: { KEY: "env:KEY" } }');
  world.env['KEY'] = 'canary';
  const commit = await openPull(7, 'from a fork', { 'towpath.yaml': `project: ${world.project}\n${own}` });
  await world.poll();
  const { name } = await world.live('pull request 7', commit);
  expect(world.runs(name)).toEqual({ web: 'from a fork' });
  const [preview] = await environmentsOf(world.house.store.db, await projectId()).then((all) =>
    all.filter(({ previewRef }) => previewRef !== null),
  );
  expect(preview).toMatchObject({
    previewRef: 'refs/pull/7/head',
    definition: { secrets: {}, deploy: { driver: 'stage' } },
  });

  const next = await openPull(7, 'pushed again');
  await world.poll();
  await world.live('pull request 7', next);
});

test('a pull request of a branch here has the preview of its branch, and no other', async () => {
  const branch = 'feature/own';
  const commit = await world.commit({ branch, from: 'main', says: { web: 'own' } });
  await world.git('update-ref', 'refs/pull/8/head', commit);
  await world.poll();
  await world.live(branch, commit);
  await idle();
  expect(await previews()).not.toContain('pull request 8');
});

test('it ends when its host says that it is closed, and not when the host cannot be asked', async () => {
  const { house } = world;
  const asked = (answer: () => Promise<unknown>) => {
    const api: HostApi = {
      host: 'github',
      call: async () => ({ status: 200, headers: {}, body: await answer() }),
    };
    return endClosedPulls({ ...house, hosts: { ...house.hosts, api: () => api } });
  };
  await asked(() => Promise.resolve({ state: 'closed' }));
  expect(await previews()).toContain('pull request 7'); // without a credential nothing is asked
  world.env['TOKEN'] = 'canary-token';
  await world.useCases.projects.change(world.project, { credential: 'env:TOKEN' }, 'olga');
  await asked(() => Promise.reject(new Error('It is away.')));
  await asked(() => Promise.resolve({ state: 'open' }));
  expect(await previews()).toContain('pull request 7');
  await asked(() => Promise.resolve({ state: 'closed' }));
  await until(async () => ((await previews()).includes('pull request 7') ? null : true));
});

test('it ends with its ref, on a host that takes that away', async () => {
  const commit = await openPull(9, 'short');
  await world.poll();
  await world.live('pull request 9', commit);
  await world.git('update-ref', '-d', 'refs/pull/9/head');
  await world.poll();
  await until(async () => ((await previews()).includes('pull request 9') ? null : true));
});

test('it brings neither a base image that nothing here was built on, nor a recipe for the tools of this machine', async () => {
  const foreign = await openPull(11, 'foreign', { 'services/web/base': 'registry.example/private:1' });
  await world.poll();
  expect(await refusal(foreign)).toBe('source.fork-base');

  const recipe = async (_: unknown, source: SourceTree) => source.entries.find(({ path }) => path === 'text')?.oid;
  Object.assign(world.house.builders.get('text') ?? {}, { recipe });
  const rewritten = await openPull(12, 'rewritten');
  await world.poll();
  expect(await refusal(rewritten)).toBe('source.fork-recipe');
  const kept = await openPull(13, 'hello', { 'services/web/more': 'of the fork' });
  await world.poll();
  await world.live('pull request 13', kept);

  // what a person of this repository puts on a branch is built as ever
  await world.git('update-ref', 'refs/heads/feature/taken', rewritten);
  await world.poll();
  await world.live('feature/taken', rewritten);
});

test('a worker that cannot keep its checks apart asks none of them', async () => {
  const { house } = world;
  const { id } = await house.store.db.selectFrom('repository').select('id').executeTakeFirstOrThrow();
  const [ofAFork, ofABranch] = await Promise.all(
    ['refs/pull/13/head', 'refs/heads/feature/taken'].map((ref) => world.git('rev-parse', ref)),
  );
  const asks = (commit = '', isolates = false) => requireIsolation(house, id, commit, { isolates });
  await expect(asks(ofAFork)).rejects.toMatchObject({ code: 'source.not-isolated' });
  await asks(ofAFork, true);
  await asks(ofABranch);
});

test('it is not built where its checks would run beside the files of the machine', async () => {
  world.isolates = false;
  const commit = await openPull(10, 'hostile');
  await world.poll();
  expect(await refusal(commit)).toBe('source.not-isolated');
  expect(await previews()).not.toContain('pull request 10');
});

function path(...environments: string[]): string {
  const lines = environments.map((text) => `  ${text}`);
  return ['services:', '  web: { path: services/web, build: text }', 'environments:', ...lines, ''].join('\n');
}

/** A commit that no branch here has: it came from a fork. */
async function openPull(number: number, says: string, files: Record<string, string> = {}): Promise<string> {
  const commit = await world.commit({
    branch: 'fork',
    from: 'main',
    says: { web: says },
    files: { ...(await config()), ...files },
  });
  await world.git('update-ref', `refs/pull/${number}/head`, commit);
  await world.git('update-ref', '-d', 'refs/heads/fork');
  return commit;
}

async function refusal(commit: string): Promise<string | undefined> {
  const failed = await until(async () => {
    const { items } = await world.useCases.releases.list(world.project, { limit: 5 });
    return items.find((release) => release.commit === commit && release.state === 'failed') ?? null;
  });
  return failed.problem?.code;
}

async function config(): Promise<Record<string, string>> {
  return { 'towpath.yaml': await world.git('show', 'main:towpath.yaml') };
}

async function refs(): Promise<string[]> {
  const rows = await world.house.store.db.selectFrom('ref').select('name').where('deleted_at', 'is', null).execute();
  return rows.map(({ name }) => name).toSorted();
}

async function previews(): Promise<(string | null)[]> {
  const all = await environmentsOf(world.house.store.db, await projectId());
  return all.filter(({ previewRef }) => previewRef !== null).map(({ previewBranch }) => previewBranch);
}

async function projectId(): Promise<string> {
  return (await world.useCases.projects.show(world.project)).id;
}

/** Whatever was seen is taken in. */
async function idle(): Promise<void> {
  await until(async () => {
    const open = await world.house.store.db
      .selectFrom('ref_event')
      .select('id')
      .where('handled_at', 'is', null)
      .executeTakeFirst();
    return open === undefined ? true : null;
  });
}
