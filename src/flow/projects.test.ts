import { afterAll, beforeAll, expect, test } from 'vitest';

import type { ForgeRepository } from '../git/testing/forge.ts';
import { hasCode } from '../lib/error.ts';
import { retainImages } from './care/retain-images.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const services = `
services:
  web: { path: services/web, build: text, port: 3000 }
  copy: { path: services/copy, build: text }
environments:
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
  prod: { on: { tag: "v*" }, from: qa, deploy: stage, settle: 0ms }
`;
const scaffold = { 'services/web/text': 'a scaffold', 'services/copy/text': 'a scaffold' };
/** Three projects of one scaffold: equal contents, equal names of services and environments. */
const names = ['shop', 'bank', 'post'] as const;

let world: World;
const repositories = new Map<string, ForgeRepository>();

beforeAll(async () => {
  world = await createWorld('shop', services, { files: scaffold });
  for (const name of ['bank', 'post']) {
    const repository = await world.forge.createRepository(name);
    repositories.set(name, repository);
    await repository.commit({ files: { ...scaffold, 'towpath.yaml': `project: ${name}\n${services}` } });
    await world.useCases.projects.add({ url: `file://${repository.directory}` }, 'olga');
  }
  await world.poll();
  for (const name of names) await live(name, 'qa', ({ current }) => current !== null);
}, 120_000);

afterAll(() => world.end());

test('three projects share what was built once, and each has its names in repositories of its own', async () => {
  const keys = await world.house.store.db.selectFrom('artifact').select('key').execute();
  expect(keys).toHaveLength(1);
  for (const name of names) {
    for (const service of ['web', 'copy']) {
      const tags = await world.house.registry.tags(`${name}/${service}`);
      expect(tags.filter((tag) => tag === 'env-qa' || tag.startsWith('keep-'))).toHaveLength(2);
    }
  }
});

test('a project that goes on moves nothing of the others: neither what runs, nor names, nor pins', async () => {
  const bank = repositories.get('bank');
  const before = await Promise.all(['shop', 'post'].map((name) => whatIs(name)));
  await bank?.commit({ files: { 'services/web/text': 'money' } });
  await bank?.git('tag', 'v1', 'main');
  await world.poll();
  const { services: running } = await live('bank', 'prod', ({ current }) => current?.names[0] === 'v1');
  expect(running.map(({ service }) => service)).toEqual(['copy', 'web']);
  await retainImages(world.house);
  expect(await Promise.all(['shop', 'post'].map((name) => whatIs(name)))).toEqual(before);
  const tagged = await Promise.all(
    ['web', 'copy'].map(async (service) => (await world.house.registry.manifest(`bank/${service}`, 'v1'))?.digest),
  );
  expect(new Set(tagged).size).toBe(2);
});

test('a change under way in one project keeps no other from its environment of that name', async () => {
  const shop = await world.commit({ says: { web: 'slow' } });
  const post = await repositories.get('post')?.commit({ files: { 'services/web/text': 'letters' } });
  world.holds.hold('deploy slow');
  await world.poll();
  await world.holds.reached('deploy slow');
  await live('post', 'qa', ({ current }) => current?.commit === post);
  world.holds.release('deploy slow');
  await live('shop', 'qa', ({ current }) => current?.commit === shop);
});

test('each service has an address of its own', async () => {
  const rows = await world.house.store.db.selectFrom('endpoint').select(['environment_id', 'port']).execute();
  expect(new Set(rows.map(({ port }) => port)).size).toBe(rows.length);
  expect(new Set(rows.map((row) => row.environment_id)).size).toBeGreaterThanOrEqual(3);
});

test('the matrix shows all projects, or the one that is asked for', async () => {
  const all = await world.useCases.matrix();
  expect(all.projects.map(({ name }) => name)).toEqual(['bank', 'post', 'shop']);
  const [one, ...more] = (await world.useCases.matrix('post')).projects;
  expect(more).toEqual([]);
  expect(one?.environments[0]?.cells.map(({ service }) => service)).toEqual(['copy', 'web']);
});

test('a repository belongs to one project: added again it is that one, and under another name it is refused', async () => {
  const url = `file://${repositories.get('bank')?.directory}`;
  expect(await world.useCases.projects.add({ url }, 'olga')).toMatchObject({ name: 'bank' });
  expect(await world.useCases.projects.add({ url, name: 'bank' }, 'olga')).toMatchObject({ name: 'bank' });
  const other = await world.useCases.projects.add({ url, name: 'other' }, 'olga').catch((error: unknown) => error);
  expect(hasCode(other, 'project.repository-taken')).toBe(true);
  expect(await world.useCases.projects.list()).toHaveLength(3);
});

async function live(project: string, name: string, is: (found: Found) => boolean): Promise<Found> {
  return until(
    async () => {
      const found = await world.useCases.environments.show(project, name).catch(() => null);
      return found !== null && is(found) ? found : null;
    },
    async () => JSON.stringify(await world.useCases.why(project, name).catch(String)),
  );
}

type Found = Awaited<ReturnType<World['useCases']['environments']['show']>>;

async function whatIs(project: string) {
  const { current, services: running } = await world.useCases.environments.show(project, 'qa');
  const repository = `${project}/web`;
  const tags = (await world.house.registry.tags(repository)).filter((tag) => !tag.startsWith('incoming-'));
  const named = await Promise.all(
    tags.map(async (tag) => (await world.house.registry.manifest(repository, tag))?.digest),
  );
  return { current, running, tags, named };
}
