import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { layAdvisories } from '../src/demo-shop.ts';
import type { EnvironmentDetail } from '../src/flow/view/environment.ts';
import { hasCode } from '../src/lib/error.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer, until } from './testing/server.ts';

let server: TestServer;
let repository: TestRepository;
const project = 'shop';

beforeAll(async () => {
  [server, repository] = await Promise.all([startServer(), createRepository('shop')]);
  await layAdvisories(join(server.data, 'advisories'));
  await server.client.call('project.add', { body: { url: repository.url } });
}, 180_000);

afterAll(async () => {
  await server.dispose();
  await repository.remove();
});

test('the default branch of a new project goes to qa by itself, and runs there', async () => {
  const qa = await live('qa', await repository.git('rev-parse', 'main'));
  const web = qa.services.find(({ service }) => service === 'web');
  expect(web?.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(await (await fetch(`${web?.url}/healthz`)).text()).toContain('well');
}, 180_000);

test('a feature branch gets a preview of its own; merged, qa runs the very image of the branch', async () => {
  await repository.git('switch', '--quiet', '--create', 'feature/cheaper-tea');
  const head = await repository.commitChange('cheaper-tea', 'Tea is cheaper');
  const preview = await live('feature/cheaper-tea', head);
  await repository.git('switch', '--quiet', 'main');
  await repository.git('merge', '--quiet', '--no-ff', '--message', 'Merge cheaper tea', 'feature/cheaper-tea');
  const qa = await live('qa', await repository.git('rev-parse', 'main'));
  expect(digests(qa)).toEqual(digests(preview));
}, 120_000);

test('a commit that only changes the README builds nothing and can be promoted', async () => {
  const before = digests(await environment('qa'));
  const commit = await repository.commitChange('readme-only', 'Say more in the README');
  const release = await until(async () => {
    const { items } = await server.client.call('release.list', { params: { project }, query: { limit: 5 } });
    return items.find((one) => one.commit === commit) ?? null;
  });
  expect(release.services.every(({ reused }) => reused)).toBe(true);
  const qa = await live('qa', commit);
  expect(digests(qa)).toEqual(before);
});

test('a release candidate goes to demo, a version waits for an approval and then goes to prod', async () => {
  const commit = await repository.git('rev-parse', 'main');
  await repository.git('tag', 'rc-1');
  await live('demo', commit);
  await repository.git('tag', '--annotate', '--message', 'First version', 'v1.0.0');
  const waiting = await until(
    async () => (await environment('prod')).open.find(({ state }) => state === 'waiting') ?? null,
  );
  expect(waiting.headline).toContain('approval');
  const { secret } = await server.client.call('token.create', {
    body: { name: 'manager', user: 'manager', roles: ['approver'] },
  });
  expect(secret).toMatch(/^twp_/);
  await approveAs('manager', secret, waiting.id);
  const prod = await live('prod', commit);
  expect(digests(prod)).toEqual(digests(await environment('qa')));
}, 120_000);

async function approveAs(_user: string, token: string, id: string): Promise<void> {
  const response = await fetch(`${server.client.server}/api/v1/promotions/${id}/approve`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: '{}',
  });
  expect(response.status).toBe(200);
}

async function environment(name: string): Promise<EnvironmentDetail> {
  return server.client.call('environment.show', { params: { project, environment: name } });
}

/** Waits until the environment runs that commit; whatever refuses or fails on the way is told. */
async function live(name: string, commit: string): Promise<EnvironmentDetail> {
  return until(
    async () => {
      const detail = await environment(name).catch((error: unknown) => ifMissing(error));
      const trouble = detail?.history.find(
        (one) =>
          one.release.commit === commit &&
          (one.state === 'refused' || one.state === 'failed' || one.state === 'rolled-back'),
      );
      if (trouble !== undefined) throw new Error(`${name}: ${trouble.state}: ${trouble.headline}`);
      return detail?.current?.commit === commit ? detail : null;
    },
    100_000,
    async () => `${(await server.cli('status')).stdout}\n${(await server.cli('why', name)).stdout}\n${server.output()}`,
  );
}

function digests({ services }: EnvironmentDetail): Record<string, string> {
  return Object.fromEntries(services.map(({ service, digest }) => [service, digest]));
}

function ifMissing(error: unknown): null {
  if (hasCode(error, 'environment.unknown', 'project.unknown')) return null;
  throw error;
}
