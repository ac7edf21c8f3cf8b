import { afterAll, beforeAll, expect, test } from 'vitest';

import { listContainers, removeContainer } from '../src/container/docker/containers.ts';
import { connectDocker } from '../src/container/docker/engine.ts';
import { LABEL } from '../src/deploy/docker/labels.ts';
import { startLoad } from '../src/deploy/testing/under-load.ts';
import type { PromotionView } from '../src/flow/view/promotion.ts';
import { dockerHost } from '../tools/test-machine/machine.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer, until } from './testing/server.ts';
import { program, smallShop } from './testing/small-shop.ts';
import { storyOf } from './testing/story.ts';

const PROMOTIONS = 10;
const DONE = ['live', 'refused', 'failed', 'superseded', 'cancelled', 'rolled-back'];
const project = `loaded-${process.pid}`;
const commits: string[] = [];
let server: TestServer;
let repository: TestRepository;

/** Each commit on a branch of its own, so that every one of them becomes a release. */
beforeAll(async () => {
  [server, repository] = await Promise.all([dockerHost().then(withDocker), createRepository()]);
  const files = smallShop({ project });
  const config = files['towpath.yaml'] ?? '';
  const environments = ['process', 'docker'].map(
    (driver) => `  on-${driver}: { on: manual, accepts: any, deploy: ${driver}, settle: 100ms }`,
  );
  const path = [config.slice(0, config.indexOf('environments:')), 'environments:', ...environments, ''].join('\n');
  commits.push(await repository.commit('The first', { ...files, 'towpath.yaml': path }));
  await server.client.call('project.add', { body: { url: repository.url } });
  const story = storyOf(server, project);
  await story.release(commits[0] ?? '', 'ready');
  for (let n = 1; n <= PROMOTIONS; n++) {
    commits.push(await repository.commit(`Say ${n}`, { 'services/web/main.js': program(`hello ${n}`) }));
    await repository.git('branch', `say-${n}`);
  }
  await Promise.all(commits.map((commit) => story.release(commit, 'ready')));
}, 180_000);

afterAll(async () => {
  await removeContainers();
  await server.dispose();
  await repository.remove();
});

test.each(['process', 'docker'])(
  'on %s, 50 connections to an environment notice nothing of ten promotions and a rollback',
  { timeout: 300_000 },
  async (driver) => {
    const environment = `on-${driver}`;
    const [first = '', ...others] = commits;
    expect(await promoted(environment, first)).toMatchObject({ state: 'live' });
    const { services } = await storyOf(server, project).environment(environment);
    const load = startLoad(services[0]?.url ?? 'no URL');
    try {
      for (const commit of others) expect(await promoted(environment, commit)).toMatchObject({ state: 'live' });
      const params = { project, environment };
      expect(await ended(await server.client.call('environment.rollback', { params, body: {} }))).toMatchObject({
        state: 'live',
        release: { commit: others.at(-2) },
      });
      const { requests, failed } = await load.end();
      expect(failed).toBe(0);
      expect(requests).toBeGreaterThan(1000);
    } finally {
      await load.end();
    }
  },
);

async function promoted(environment: string, release: string): Promise<PromotionView> {
  const params = { project, environment };
  return ended(await server.client.call('promotion.request', { params, body: { release } }));
}

function ended(answer: { kind: 'would' } | { kind: 'started'; promotion: PromotionView }): Promise<PromotionView> {
  if (answer.kind !== 'started') throw new Error('It was no dry run.');
  const params = { promotion: answer.promotion.id };
  return until(async () => {
    const promotion = await server.client.call('promotion.show', { params });
    return DONE.includes(promotion.state) ? promotion : null;
  });
}

function withDocker(host: string): Promise<TestServer> {
  return startServer({ env: { DOCKER_HOST: host } });
}

async function removeContainers(): Promise<void> {
  const engine = await connectDocker({ host: await dockerHost() });
  const containers = await listContainers(engine, { [LABEL.project]: project });
  await Promise.all(containers.map(({ name }) => removeContainer(engine, name)));
}
