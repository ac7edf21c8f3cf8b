import { afterAll, beforeAll, expect, test } from 'vitest';

import type { ForgeRepository } from '../git/testing/forge.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const path = `
services:
  web: { path: services/web, build: text }
environments:
  preview: { on: { branch: "feature/*" }, ephemeral: { ttl: 1d }, deploy: stage, settle: 0ms }
  forks: { on: { pull-request: forks }, ephemeral: { ttl: 1d }, deploy: stage, settle: 0ms }
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
  prod: { on: { tag: "v*" }, from: qa, deploy: stage, settle: 0ms }
`;
const services = `
project: shop
services:
  api: { path: services/api, build: text }
  jobs: { path: services/jobs, build: text }
`;

let world: World;
let api: ForgeRepository;

beforeAll(async () => {
  world = await createWorld('shop', path, { says: { web: 'web one' } });
  api = await world.forge.createRepository('api');
  await api.commit({
    files: { 'towpath.yaml': services, 'services/jobs/text': 'jobs', 'services/api/text': 'api one' },
  });
  const repositories = `repositories: { api: { url: "file://${api.directory}" } }`;
  await world.push({ files: { 'towpath.yaml': `project: shop\n${repositories}\n${path}` } });
  await runs('qa', { web: 'web one' });
  await world.live('qa', await world.git('rev-parse', 'main'));
  await until(async () => {
    const [project] = await world.useCases.projects.list();
    return project?.repositories.some(({ name }) => name === 'api') === true ? true : null;
  });
  await world.poll();
  await world.live('qa.api', await api.git('rev-parse', 'main'));
}, 240_000);

afterAll(() => world.end());

test('each repository has its place in an environment, and all services of the project are on the matrix', async () => {
  expect(running('qa')).toEqual({ web: 'web one', api: 'api one', jobs: 'jobs' });
  const [project] = (await world.useCases.matrix('shop')).projects;
  expect(project?.services).toEqual(['api', 'jobs', 'web']);
  expect(project?.environments.map(({ name, repository }) => [name, repository])).toEqual([
    ['qa', null],
    ['prod', null],
    ['qa.api', 'api'],
    ['prod.api', 'api'],
  ]);
  const [shop] = await world.useCases.projects.list();
  expect(shop?.repositories.map(({ name }) => name)).toEqual([null, 'api']);
});

test('a release goes to the place of its repository, by its own triggers, and touches no other', async () => {
  const before = await world.environment('qa');
  const pushed = await pushApi('api two');
  await world.live('qa.api', pushed);
  expect(running('qa')).toEqual({ web: 'web one', api: 'api two', jobs: 'jobs' });
  await api.git('tag', 'v1', 'main');
  await world.poll();
  await world.live('prod.api', pushed);
  expect(running('prod')).toEqual({ api: 'api two', jobs: 'jobs' });
  expect(await world.environment('qa')).toEqual(before);
  expect((await world.environment('prod')).current).toBeNull();
});

test('who promotes names the environment, or the place; that of another repository is refused, and so is a mix', async () => {
  const release = await pushApi('api three');
  const live = await world.live('qa.api', release);
  const asked = await world.request('prod', 'api:main');
  expect(asked).toMatchObject({ environment: 'prod.api', release: { commit: release } });
  await world.reaches(asked.id, 'live');
  expect(live.from).toEqual([]);
  expect((await world.environment('prod.api')).from).toEqual(['qa.api']);
  await expect(world.request('prod.api', 'main')).rejects.toMatchObject({ code: 'environment.other-repository' });
  await expect(world.request('qa', 'main', { services: { api: 'api:main' } })).rejects.toMatchObject({
    code: 'release.other-repository',
  });
});

test('a rollback steps back what went live last, or the place that is named, and holds that alone', async () => {
  const { environments } = world.useCases;
  const next = await pushApi('api four');
  await world.live('qa.api', next);
  const answer = await environments.rollback({ project: 'shop', environment: 'qa' }, 'olga');
  if (answer.kind !== 'started') throw new Error('It was a dry run.');
  expect(answer.promotion.environment).toBe('qa.api');
  await world.reaches(answer.promotion.id, 'live');
  expect(running('qa')).toEqual({ web: 'web one', api: 'api three', jobs: 'jobs' });
  expect([(await world.environment('qa')).hold, (await world.environment('qa.api')).hold?.by]).toEqual([null, 'olga']);
  await environments.resume('shop', 'qa', 'olga');
  expect((await world.environment('qa.api')).hold).toBeNull();
  await environments.hold('shop', 'qa', 'a fair', 'olga');
  for (const place of ['qa', 'qa.api']) expect((await world.environment(place)).hold?.reason).toBe('a fair');
  await environments.resume('shop', 'qa', 'olga');
});

test('a preview of a member is of its branch alone', async () => {
  await api.commit({ branch: 'feature/x', from: 'main', files: { 'services/api/text': 'a feature' } });
  await world.poll();
  const preview = await until(async () => {
    const [found] = (await world.useCases.environments.list('shop')).filter(({ branch }) => branch === 'feature/x');
    return found?.current ? found : null;
  });
  expect(preview).toMatchObject({ repository: 'api', kind: 'preview' });
  expect(preview.name).toMatch(/^preview-feature-x-[0-9a-f]{8}\.api$/);
  await api.git('branch', '-D', 'feature/x');
  await world.poll();
  await until(async () => {
    const left = (await world.useCases.environments.list('shop')).filter(({ branch }) => branch === 'feature/x');
    return left.length === 0 ? true : null;
  });
});

test('a member holds no path, and no service that another repository has: both are said, and the last good stays', async () => {
  const said = async (yaml: string) => {
    const commit = await api.commit({ branch: 'wrong', files: { 'towpath.yaml': yaml }, from: 'main' });
    await world.poll();
    return until(async () => {
      const release = await world.useCases.releases.show('shop', commit).catch(() => null);
      return release?.problem ?? null;
    });
  };
  expect(await said(`${services}\nenvironments: { qa: { on: manual, deploy: stage } }`)).toMatchObject({
    code: 'config.not-home',
  });
  const clash = await said(services.replace('jobs:', 'web:'));
  expect(clash).toMatchObject({ code: 'config.service-taken' });
  for (const folder of [api.directory, 'shop']) expect(clash.what).toContain(folder);
  expect(await said(services.replace('project: shop', 'project: bank'))).toMatchObject({
    code: 'config.other-project',
  });
});

test('a pull request of a fork of a member gets a preview, since the path of the home asks for that', async () => {
  const { db } = world.house.store;
  await db.updateTable('repository').set({ host: 'github' }).where('name', '=', 'api').execute();
  const files = { 'towpath.yaml': services, 'services/jobs/text': 'jobs', 'services/api/text': 'of a fork' };
  const commit = await api.commit({ branch: 'fork', from: 'main', files });
  await api.git('update-ref', 'refs/pull/7/head', commit);
  await api.git('update-ref', '-d', 'refs/heads/fork');
  await world.poll();
  expect((await world.live('pull request 7', commit)).repository).toBe('api');
});

test('a member that is named no more ends as environments do: visibly, when nothing runs there', async () => {
  await world.push({ files: { 'towpath.yaml': `project: shop\n${path}` } });
  await until(async () => ((await world.environment('qa.api')).named ? null : true));
  expect(running('qa')).toMatchObject({ web: 'web one', api: 'api three' });
  await world.useCases.environments.stop('shop', 'qa.api', undefined, 'olga');
  await until(async () => {
    const names = (await world.useCases.environments.list('shop')).map(({ name }) => name);
    return names.includes('qa.api') ? null : true;
  });
  expect(running('qa')).toEqual({ web: 'web one' });
});

async function pushApi(text: string): Promise<string> {
  const commit = await api.commit({ files: { 'services/api/text': text } });
  await world.poll();
  return commit;
}

function running(environment: string): Record<string, string> {
  return world.runs(environment);
}

async function runs(environment: string, what: Record<string, string>): Promise<void> {
  await until(async () => (JSON.stringify(running(environment)) === JSON.stringify(what) ? true : null));
}
