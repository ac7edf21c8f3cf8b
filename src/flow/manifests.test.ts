import { afterAll, beforeAll, expect, test } from 'vitest';

import type { ForgeRepository } from '../git/testing/forge.ts';
import { REQUEST_TOKEN, requestHost, type RequestHost } from '../deploy/gitops/testing/request-host.ts';
import { createWorld, type World } from './testing/world.ts';

/** From a branch to an environment that is a manifest repository, from which another program deploys. */
const services = `
services:
  web: { path: services/web, build: text }
  api: { path: services/api, build: text }
`;
const config = (manifests: string, asked: string) => `
project: manifests
${services}
environments:
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
  prod:
    on: { tag: "v*" }
    from: qa
    settle: 0ms
    deploy:
      gitops:
        repository: ${manifests}
        branch: live
        folder: prod
        services:
          web: { file: values.yaml, helm: web.image }
          api: { file: api.yaml, image: "spec.containers[name=api].image" }
  asked:
    on: { merge: main }
    settle: 0ms
    deploy:
      gitops:
        repository: ${asked}
        host: github
        credential: env:MANIFESTS_TOKEN
        request: true
        services:
          web: { file: web.yaml, image: image }
          api: { file: api.yaml, image: image }
`;

let world: World;
let manifests: ForgeRepository;
let asked: ForgeRepository;
let host: RequestHost;
let first: string;
let third: string;

beforeAll(async () => {
  world = await createWorld('manifests', `${services}environments: {}\n`, { says: { web: 'hello', api: 'sums' } });
  manifests = await world.forge.createRepository('live');
  await manifests.commit({
    branch: 'live',
    files: {
      'prod/values.yaml': '# of the page\nweb:\n  image: { repository: reg.example.com/web, tag: "v0", digest: "" }\n',
      'prod/api.yaml': 'spec:\n  containers:\n  - name: api\n    image: reg.example.com/api:v0\n',
    },
  });
  world.env['MANIFESTS_TOKEN'] = REQUEST_TOKEN;
  asked = await world.forge.createRepository('team/manifests');
  await asked.commit({
    files: { 'web.yaml': 'image: reg.example.com/web:v0\n', 'api.yaml': 'image: reg.example.com/api:v0\n' },
  });
  host = requestHost(world.forge, asked, 'github');
  first = await world.push({ files: { 'towpath.yaml': config(manifests.directory, asked.url) } });
  await world.live('qa', first);
}, 120_000);

afterAll(() => world.end());

async function tagged(tag: string, commit: string): Promise<void> {
  await world.git('tag', tag, commit);
  await world.poll();
}

async function digestsOf(commit: string): Promise<Record<string, string>> {
  const release = await world.useCases.releases.show(world.project, commit);
  return Object.fromEntries(release.services.map(({ service, digest }) => [service, digest ?? '']));
}

/** Waits for the request that brings it. */
async function opened(commit: string): Promise<void> {
  const { web } = await digestsOf(commit);
  const bodies = (): string[] => host.requests.flatMap(({ state, body }) => (state === 'open' ? [body] : []));
  await expect.poll(bodies, { timeout: 30_000 }).toEqual([expect.stringContaining(web ?? 'a digest') as string]);
}

function file(path: string): Promise<string> {
  return manifests.git('cat-file', 'blob', `live:${path}`);
}

test('a tag brings the very digests that qa ran into the manifests, in one commit that says so', async () => {
  await tagged('v1.0.0', first);
  const prod = await world.live('prod', first);
  const { web, api } = await digestsOf(first);
  expect(await file('prod/values.yaml')).toBe(
    `# of the page\nweb:\n  image: { repository: reg.example.com/web, tag: "v1.0.0", digest: "${web}" }`,
  );
  expect(await file('prod/api.yaml')).toContain(`    image: reg.example.com/api@${api} # towpath: v1.0.0`);
  expect(await manifests.git('log', '-1', '--format=%s', 'live')).toBe('prod: api v1.0.0, web v1.0.0');
  const [promotion] = prod.history;
  expect(
    await manifests.git('log', '-1', '--format=%(trailers:key=Towpath-Promotion,valueonly,separator=)', 'live'),
  ).toBe(promotion?.id);
  expect(await manifests.git('rev-list', '--count', 'live')).toBe('2');
});

test('it says that it is committed, and that nobody saw it run', async () => {
  const prod = await world.environment('prod');
  expect(prod.history[0]?.headline).toBe('Committed, not observed: 2 services.');
  expect(prod.services).toMatchObject([
    { service: 'api', runs: true, observed: false, url: null },
    { service: 'web', runs: true, observed: false, url: null },
  ]);
  expect((await world.environment('qa')).services).toMatchObject([{ observed: true }, { observed: true }]);
});

test('a rollback writes what was there before, by a commit of its own', async () => {
  const before = await file('prod/api.yaml');
  const second = await world.push({ says: { api: 'better sums' } });
  await world.live('qa', second);
  await tagged('v1.1.0', second);
  await world.live('prod', second);
  expect(await file('prod/api.yaml')).toContain((await digestsOf(second))['api'] ?? 'a digest');
  const answer = await world.useCases.environments.rollback({ project: world.project, environment: 'prod' }, 'olga');
  if (answer.kind !== 'started') throw new Error('It was a dry run.');
  await world.reaches(answer.promotion.id, 'live');
  expect(await file('prod/api.yaml')).toBe(before);
  expect(await manifests.git('rev-list', '--count', 'live')).toBe('4');
});

test('a branch that was deleted fails the promotion, and is not made again', async () => {
  const before = await manifests.git('rev-parse', 'live');
  await world.useCases.environments.resume(world.project, 'prod', 'olga');
  await manifests.git('update-ref', '-d', 'refs/heads/live');
  third = await world.push({ says: { web: 'goodbye' } });
  await world.live('qa', third);
  await tagged('v1.2.0', third);
  const failed = await world.promotion('prod', third, 'failed', 'rolled-back');
  expect(failed.headline).toContain('There is no branch live of');
  expect(await manifests.git('for-each-ref', '--format=%(refname)')).toBe('');
  await manifests.git('update-ref', 'refs/heads/live', before);
});

test('through a request a newer promotion takes the place of the one that waits, and is live when that is merged', async () => {
  await opened(third); // those for the commits before it are closed by then
  const older = host.last();
  const { id } = (await world.environment('asked')).history[0] ?? { id: '' };
  await world.says(id, 'Waits for http');
  const fourth = await world.push({ says: { web: 'asked for' } });
  await world.reaches(id, 'superseded');
  await expect.poll(() => older.state, { timeout: 30_000 }).toBe('closed');
  await opened(fourth);
  expect(host.last().body).toMatch(/Promotion \d+ of `manifests` brings the release .* to `asked`/);
  await host.merge(host.last(), 'squash');
  const { history } = await world.live('asked', fourth);
  expect(history[0]?.headline).toBe('Committed, not observed: 2 services.');
});

test('cancelled while it waits, its request is closed', async () => {
  const fifth = await world.push({ says: { web: 'not wanted' } });
  const { id } = await world.promotion('asked', fifth, 'deploying');
  await expect.poll(() => host.last().state, { timeout: 30_000 }).toBe('open');
  await world.useCases.promotions.cancel(id, 'olga');
  await world.reaches(id, 'cancelled');
  await expect.poll(() => host.last().state, { timeout: 30_000 }).toBe('closed');
  await expect.poll(() => asked.git('for-each-ref', 'refs/heads/towpath/'), { timeout: 30_000 }).toBe('');
});
