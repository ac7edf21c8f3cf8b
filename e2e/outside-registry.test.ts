import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { hexOf } from '../src/lib/digest.ts';
import { createRegistryClient } from '../src/registry/client/client.ts';
import { startClosedRegistry } from '../src/registry/testing/debian-registry.ts';
import type { Served } from '../src/registry/testing/served.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer, until } from './testing/server.ts';
import { smallShop } from './testing/small-shop.ts';
import { storyOf } from './testing/story.ts';

const project = 'outside-shop';
const robot = { kind: 'basic' as const, username: 'robot', password: 'canary-secret' };

let registry: Served;
let docker: string;
let server: TestServer;
let repository: TestRepository;

beforeAll(async () => {
  // bcrypt of `canary-secret`
  const htpasswd = 'robot:$2b$05$abcdefghijklmnopqrstuu3PYrq6m/qxbNlTuN4B34JSamOsjZkKu';
  registry = await startClosedRegistry({ htpasswd });
  docker = await mkdtemp(join(tmpdir(), 'towpath-docker-'));
  const auth = Buffer.from(`${robot.username}:${robot.password}`).toString('base64');
  await writeFile(join(docker, 'config.json'), JSON.stringify({ auths: { [registry.host]: { auth } } }));
  const env = { TOWPATH_REGISTRY: `${registry.host}/team`, DOCKER_CONFIG: docker, TOWPATH_CARE_MS: '5000' };
  [server, repository] = await Promise.all([startServer({ env }), createRepository()]);
}, 180_000);

afterAll(async () => {
  await server.dispose();
  await repository.remove();
  await registry.close();
  await rm(docker, { recursive: true });
});

test('artifacts rest in a registry of somebody else, and production takes them from a place of its own there', async () => {
  const story = storyOf(server, project);
  const { 'towpath.yaml': path = '', ...files } = smallShop({ project });
  const elsewhere = path.replace('from: qa,', `from: qa, registry: "${registry.host}/production",`);
  const commit = await repository.commit('The shop', { ...files, 'towpath.yaml': elsewhere });
  await server.client.call('project.add', { body: { url: repository.url } });
  const release = await story.release(commit, 'ready');
  const digest = release.services[0]?.digest ?? expect.unreachable();
  // the base image is unpacked here for the first time, on a machine that does other things too
  await until(async () => ((await story.environment('qa')).current?.commit === commit ? true : null), 180_000);
  await repository.git('tag', 'v1');
  const prod = await story.live('prod', commit);
  expect(prod.services.map((service) => service.digest)).toEqual([digest]);

  const client = createRegistryClient({ host: registry.host, credentials: async () => robot });
  const tags = await client.tags(`team/${project}/web`);
  expect(tags).toEqual(expect.arrayContaining(['env-qa', 'env-prod', 'v1']));
  expect((await client.manifest(`team/${project}/web`, 'env-prod'))?.digest).toBe(digest);
  const copied = `production/${project}/web`;
  expect((await client.manifest(copied, digest))?.digest).toBe(digest);
  expect((await client.tags(copied)).toSorted()).toEqual([
    expect.stringMatching(/^keep-.*-1$/),
    `sha256-${hexOf(digest)}`,
  ]);
  expect((await server.cli('logs', 'prod')).stdout).toMatch(/read back whole \(0 blobs copied, [1-9]\d* mounted/);
  expect(prod.history[0]?.headline).toContain(`images from ${registry.host}/production`);
  expect((await fetch(`${server.client.server}/v2/`)).status).toBe(404);

  const swept = await server.cli('registry', 'sweep', '--dry-run', '--all');
  expect(swept.stdout).toMatch(
    new RegExp(`stays +${project}/web +${digest.slice(0, 19)} .*it runs in ${project}/prod`),
  );
  expect(swept.stdout).toContain(`${registry.host}/team would go`);
  expect(server.output()).not.toContain('canary-secret');

  await client.deleteManifest(`team/${project}/web`, digest);
  const told = await until(
    async () => {
      const { stdout } = await server.cli('why', 'prod');
      return stdout.includes('is gone from the registry') ? stdout : null;
    },
    60_000,
    async () => server.output(),
  );
  expect(told).toContain(`${project}/web@${digest}`);
}, 300_000);
