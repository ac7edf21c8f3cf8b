import { connect } from 'node:net';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer, until } from './testing/server.ts';
import { program, smallShop } from './testing/small-shop.ts';
import { ifMissing, type Story, storyOf } from './testing/story.ts';

let server: TestServer;
let repository: TestRepository;
let story: Story;
const project = 'corner-shop';

beforeAll(async () => {
  [server, repository] = await Promise.all([startServer(), createRepository()]);
  await repository.commit('Two services', smallShop({ project, services: ['web', 'api'] }));
  await server.client.call('project.add', { body: { url: repository.url } });
  story = storyOf(server, project);
}, 180_000);

afterAll(async () => {
  await server.dispose();
  await repository.remove();
});

test('a change in one service builds that one alone; the other keeps its artifact', async () => {
  const before = await story.live('qa', await repository.git('rev-parse', 'main'));
  const commit = await repository.commit('Say good day', { 'services/web/main.js': program('good day') });
  const release = await story.release(commit, 'ready');
  expect(release.services.map(({ service, reused }) => [service, reused])).toEqual([
    ['api', true],
    ['web', false],
  ]);
  const after = await story.live('qa', commit);
  const [api, web] = ['api', 'web'].map((name) =>
    [before, after].map(({ services }) => services.find(({ service }) => service === name)?.digest),
  );
  expect(api?.[0]).toBe(api?.[1]);
  expect(web?.[0]).not.toBe(web?.[1]);
}, 120_000);

test('one commit pushed to two branches at once is built once, and each branch gets its preview', async () => {
  await repository.git('switch', '--quiet', '--create', 'feature/one');
  const commit = await repository.commit('Say hello twice', { 'services/web/main.js': program('hello, hello') });
  await repository.git('branch', 'feature/two');
  const [one, two] = await Promise.all([story.live('feature/one', commit), story.live('feature/two', commit)]);
  expect(one.services.map(({ digest }) => digest)).toEqual(two.services.map(({ digest }) => digest));
  expect(one.services.map(({ url }) => url)).not.toEqual(two.services.map(({ url }) => url));
  expect(await story.releasesOf(commit)).toHaveLength(1);
  expect(await buildsOf('web', commit)).toBe(1);
}, 120_000);

test('two commits that need one key at the same moment build it once', async () => {
  const change = { 'services/api/main.js': program('the same on both') };
  await repository.git('switch', '--quiet', '--create', 'feature/left', 'main');
  const left = await repository.commit('Left', { ...change, 'LEFT.md': 'left' });
  await repository.git('switch', '--quiet', '--create', 'feature/right', 'main');
  const right = await repository.commit('Right', { ...change, 'RIGHT.md': 'right' });
  const releases = await Promise.all([story.release(left, 'ready'), story.release(right, 'ready')]);
  const keys = releases.map(({ services }) => services.find(({ service }) => service === 'api')?.key);
  expect(keys[0]).toBe(keys[1]);
  expect((await buildsOf('api', left)) + (await buildsOf('api', right))).toBe(1);
}, 120_000);

test('a force-push moves the preview to the rewritten commit', async () => {
  await repository.git('switch', '--quiet', 'feature/one');
  await repository.git('reset', '--quiet', '--hard', 'main');
  const rewritten = await repository.commit('Say hello once', { 'services/web/main.js': program('hello') });
  await story.live('feature/one', rewritten);
}, 120_000);

test('when a branch is deleted its preview goes: its processes, its ports and its row', async () => {
  const { services } = await story.environment('feature/two');
  const ports = services.map(({ url }) => Number(new URL(url ?? '').port));
  expect(await Promise.all(ports.map(isListening))).toEqual([true, true]);
  await repository.git('switch', '--quiet', 'main');
  await repository.git('branch', '--quiet', '--delete', '--force', 'feature/two');
  await until(async () => ((await story.environment('feature/two').catch(ifMissing)) === null ? true : null));
  expect(await Promise.all(ports.map(isListening))).toEqual([false, false]);
}, 120_000);

test('a git tag that moved after its promotion is refused, `why` says so, and the image tag stays', async () => {
  const first = await repository.git('rev-parse', 'main');
  await story.live('qa', first);
  await repository.git('tag', 'v1.0.0');
  const prod = await story.live('prod', first);
  const tagged = await manifestOf('web', 'v1.0.0');
  const second = await repository.commit('Say good night', { 'services/web/main.js': program('good night') });
  await story.live('qa', second);
  await repository.git('tag', '--force', 'v1.0.0');
  const refused = await until(
    async () => (await story.environment('prod')).history.find(({ state }) => state === 'refused') ?? null,
  );
  expect(refused.release.commit).toBe(second);
  const why = await server.cli('why', 'prod');
  expect(why.stdout).toContain('The tag "v1.0.0"');
  expect((await story.environment('prod')).current?.commit).toBe(first);
  expect(await manifestOf('web', 'v1.0.0')).toBe(tagged);
  expect(prod.services.find(({ service }) => service === 'web')?.digest).toBe(tagged);
}, 120_000);

test('a commit without towpath.yaml makes a release that says so, and nothing moves', async () => {
  await repository.git('switch', '--quiet', '--detach', 'main'); // a branch that is seen at main's commit has a preview
  const commit = await repository.commit('Take the configuration away', { 'towpath.yaml': null });
  await repository.git('switch', '--quiet', '--create', 'feature/bare');
  const release = await story.release(commit, 'failed');
  expect(release.problem?.code).toBe('config.missing');
  expect((await server.cli('why', commit.slice(0, 10))).stdout).toContain('has no towpath.yaml');
  expect(await story.environment('feature/bare').catch(ifMissing)).toBeNull();
}, 120_000);

test('a mistake in towpath.yaml of a branch stops that branch alone, with the line', async () => {
  await repository.git('switch', '--quiet', '--create', 'feature/typo', 'main');
  const good = smallShop({ project, services: ['web', 'api'] })['towpath.yaml'] ?? '';
  const commit = await repository.commit('Mistype', { 'towpath.yaml': good.replace('services:', 'servces:') });
  const release = await story.release(commit, 'failed');
  expect(`${release.problem?.what} ${release.problem?.fix}`).toMatch(/2[\s\S]*servces[\s\S]*services/);
  expect((await projectView()).configProblem).toBeNull();
}, 120_000);

test('a mistake on the default branch is shown, and the last good path stays in force until it is mended', async () => {
  await repository.git('switch', '--quiet', 'main');
  const good = smallShop({ project, services: ['web', 'api'] })['towpath.yaml'] ?? '';
  await repository.commit('Break the path', { 'towpath.yaml': good.replace('deploy: process', 'deploy: nowhere') });
  const problem = await until(async () => (await projectView()).configProblem);
  expect(problem.what).toContain('towpath.yaml');
  expect((await server.cli('project', 'list')).stdout).toContain(problem.what);
  await repository.git('switch', '--quiet', '--create', 'feature/mended');
  const commit = await repository.commit('Mend the path', { 'towpath.yaml': good });
  await story.live('feature/mended', commit);
  await repository.git('switch', '--quiet', 'main');
  await repository.git('merge', '--quiet', '--ff-only', 'feature/mended');
  await story.live('qa', commit);
  expect((await projectView()).configProblem).toBeNull();
}, 120_000);

async function projectView() {
  const { repositories } = await server.client.call('project.show', { params: { project } });
  const [found] = repositories;
  if (found === undefined) throw new Error('The project has no repository.');
  return found;
}

/** How many builds of a service the log of events tells for a commit. */
async function buildsOf(service: string, commit: string): Promise<number> {
  const [release] = await story.releasesOf(commit);
  const part = release?.services.find((one) => one.service === service);
  if (part === undefined) return 0;
  const { lines } = await server.client.call('log.read', { params: { log: part.logId }, query: {} });
  return lines.filter((line) => line.startsWith('Building ') && line.includes(commit.slice(0, 7))).length;
}

async function manifestOf(service: string, tag: string): Promise<string | null> {
  const token = (await import('node:fs/promises')).readFile(`${server.data}/token`, 'utf8');
  const response = await fetch(`${server.client.server}/v2/${project}/${service}/manifests/${tag}`, {
    headers: { authorization: `Bearer ${(await token).trim()}`, accept: 'application/vnd.oci.image.manifest.v1+json' },
  });
  return response.headers.get('docker-content-digest');
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
