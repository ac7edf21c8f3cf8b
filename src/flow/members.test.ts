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
  await world.live('qa', await nameAsApi(api));
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
  const before = await world.environment('qa.home');
  const pushed = await pushApi('api two');
  await world.live('qa.api', pushed);
  expect(running('qa')).toEqual({ web: 'web one', api: 'api two', jobs: 'jobs' });
  await api.git('tag', 'v1', 'main');
  await world.poll();
  await world.live('prod.api', pushed);
  expect(running('prod')).toEqual({ api: 'api two', jobs: 'jobs' });
  expect(await world.environment('qa.home')).toEqual(before);
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

test('a rollback steps back the place that is named, or the only one that runs something, and holds that alone', async () => {
  const { environments } = world.useCases;
  const next = await pushApi('api four');
  await world.live('qa.api', next);
  const answer = await environments.rollback({ project: 'shop', environment: 'qa.api' }, 'olga');
  if (answer.kind !== 'started') throw new Error('It was a dry run.');
  expect(answer.promotion.environment).toBe('qa.api');
  await world.reaches(answer.promotion.id, 'live');
  expect(running('qa')).toEqual({ web: 'web one', api: 'api three', jobs: 'jobs' });
  expect([(await world.environment('qa')).hold, (await world.environment('qa.api')).hold?.by]).toEqual([null, 'olga']);
  const would = await environments.rollback({ project: 'shop', environment: 'prod', dryRun: true }, 'olga');
  expect(would).toMatchObject({ verdict: 'go', diff: { from: 'prod.api' } });
  await environments.resume('shop', 'qa', 'olga');
  expect((await world.environment('qa.api')).hold).toBeNull();
  await environments.hold('shop', 'qa', 'a fair', 'olga');
  for (const place of ['qa', 'qa.api']) expect((await world.environment(place)).hold?.reason).toBe('a fair');
  await environments.resume('shop', 'qa', 'olga');
});

test('where several repositories run something, a rollback names them and touches none; the home alone has a name too', async () => {
  const { environments } = world.useCases;
  await world.live('qa', await world.push({ says: { web: 'web two' } }));
  const back = (environment: string, to?: string) =>
    environments.rollback({ project: 'shop', environment, ...(to === undefined ? {} : { to }) }, 'olga');
  await expect(back('qa')).rejects.toMatchObject({
    code: 'environment.place-ambiguous',
    fix: expect.stringMatching(/qa\.api \(back to #\d+ .*qa\.home \(back to #/),
  });
  const answer = await back('qa.home');
  if (answer.kind !== 'started') throw new Error('It was a dry run.');
  await world.reaches(answer.promotion.id, 'live');
  expect(answer.promotion.environment).toBe('qa');
  expect(running('qa')).toMatchObject({ web: 'web one', api: 'api three' });
  expect((await world.environment('qa.api')).hold).toBeNull();
  await environments.resume('shop', 'qa.home', 'olga');
  expect((await world.environment('qa')).hold).toBeNull();
  await expect(world.request('qa.home', 'api:main')).rejects.toMatchObject({ code: 'environment.other-repository' });
});

test('why and lineage of an environment tell of all its places, a diff of one repository', async () => {
  const author = 'Ann of the API';
  const commit = await api.commit({ files: { 'services/api/text': 'api five' }, author });
  await world.poll();
  await world.live('qa.api', commit);
  const home = (await world.environment('qa')).current?.commit.slice(0, 7);
  const said = (await world.useCases.why('shop', 'qa')).headline;
  expect(said).toMatch(new RegExp(`^qa runs #\\d+ \\(${home}.*; qa.api runs #\\d+ \\(${commit.slice(0, 7)}`));
  expect((await world.useCases.why('shop', 'qa.home')).headline).not.toContain('qa.api');
  const { commits } = await world.useCases.lineage('shop', 'qa');
  expect(commits.find(({ sha }) => sha === commit)).toMatchObject({ author, refs: ['refs/heads/main'] });
  expect(commits.every(({ author }) => author !== '')).toBe(true);
  expect(new Set(commits.map(({ author }) => author)).size).toBeGreaterThan(1);
  await expect(world.useCases.diff('shop', 'qa', 'qa.api')).rejects.toMatchObject({ code: 'release.other-repository' });
  expect((await world.environment('qa')).services.map(({ service }) => service)).toEqual(['api', 'jobs', 'web']);
});

test('what a member is reached with is said by its name, and belongs to it alone', async () => {
  const { projects } = world.useCases;
  world.env['API_TOKEN'] = 'a-token';
  const changed = await projects.change('shop', { repository: 'api', credential: 'env:API_TOKEN' }, 'olga');
  expect(changed.repositories.map(({ name, credential }) => [name, credential])).toEqual([
    [null, null],
    ['api', 'env:API_TOKEN'],
  ]);
  await projects.change('shop', { repository: 'api', credential: null }, 'olga');
  await expect(projects.change('shop', { repository: 'jobs', credential: null }, 'olga')).rejects.toMatchObject({
    code: 'project.repository-unknown',
    fix: expect.stringContaining('api'),
  });
  // watched already: nothing is made of it, and under another name it is refused
  const url = `file://${api.directory}`;
  expect((await projects.add({ url }, 'olga')).name).toBe('shop');
  await expect(projects.add({ url, name: 'bank' }, 'olga')).rejects.toMatchObject({
    code: 'project.repository-taken',
  });
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
  const upon = 'jobs: { path: services/jobs, build: { text: { from: web } } }';
  expect(await said(services.replace('jobs: { path: services/jobs, build: text }', upon))).toMatchObject({
    code: 'config.base-elsewhere',
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

test('a member whose address changes is another repository: its first release goes where a person sends it', async () => {
  const moved = await world.forge.createRepository('moved');
  const commit = await moved.commit({
    files: { 'towpath.yaml': services, 'services/jobs/text': 'jobs', 'services/api/text': 'api moved' },
  });
  await nameAsApi(moved);
  await world.poll();
  expect((await world.promotion('qa.api', commit, 'refused')).reasons).toMatchObject([{ gate: 'order' }]);
  await world.reaches((await world.request('qa', 'api:main')).id, 'live');
  expect(running('qa')).toMatchObject({ api: 'api moved' });
  await nameAsApi(api);
  await world.reaches((await world.request('qa', 'api:main')).id, 'live');
});

test('a member that is named no more ends as environments do: visibly, when nothing runs there', async () => {
  await world.push({ files: { 'towpath.yaml': `project: shop\n${path}` } });
  await until(async () => ((await world.environment('qa.api')).named ? null : true));
  expect(running('qa')).toMatchObject({ api: 'api five' });
  await world.useCases.environments.stop('shop', 'qa.api', undefined, 'olga');
  await until(async () => {
    const names = (await world.useCases.environments.list('shop')).map(({ name }) => name);
    return names.includes('qa.api') ? null : true;
  });
  expect(Object.keys(running('qa'))).toEqual(['web']);
});

async function pushApi(text: string): Promise<string> {
  const commit = await api.commit({ files: { 'services/api/text': text } });
  await world.poll();
  return commit;
}

function running(environment: string): Record<string, string> {
  return world.runs(environment);
}

/** The home names it as its member `api`. @returns the commit of the home */
async function nameAsApi({ directory }: ForgeRepository): Promise<string> {
  const url = `file://${directory}`;
  const repositories = `repositories: { api: { url: "${url}" } }`;
  const commit = await world.push({ files: { 'towpath.yaml': `project: shop\n${repositories}\n${path}` } });
  await until(async () => {
    const [project] = await world.useCases.projects.list();
    return project?.repositories.some((one) => one.name === 'api' && one.url === url) === true ? true : null;
  });
  return commit;
}
