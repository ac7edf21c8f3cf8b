import { afterAll, beforeAll, expect, test } from 'vitest';

import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer, until } from './testing/server.ts';

// A repository unlike the example: its default branch is not main, one service has no port, and none has dependencies.
const CONFIG = `
project: courier
services:
  api:
    path: api
    build: { node: { start: index.js } }
    port: 8080
    health: /health
    checks: { unit: { run: node --test, during: build } }
  mailer: { path: mailer, build: { node: { start: index.js } } }
environments:
  qa:   { on: { merge: trunk }, deploy: process, settle: 500ms }
  prod: { on: { tag: "v*" }, from: qa, deploy: process, settle: 500ms }
`;
const API = `require('node:http').createServer((_, response) => response.end('well')).listen(process.env.PORT);`;
const testThat = (holds: boolean): string =>
  `require('node:test').test('parcels have a price', () => require('node:assert').ok(${holds}));`;

let server: TestServer;
let repository: TestRepository;

beforeAll(async () => {
  [server, repository] = await Promise.all([startServer(), createRepository()]);
  await repository.git('switch', '--quiet', '--create', 'trunk');
  await repository.commit('A courier with a mistake', {
    'towpath.yaml': CONFIG,
    'api/index.js': API,
    'api/test/price.test.js': testThat(false),
    'mailer/index.js': 'setInterval(() => {}, 1000);',
  });
  await server.client.call('project.add', { body: { url: repository.url } });
}, 180_000);

afterAll(async () => {
  await server?.dispose();
  await repository?.remove();
});

test('a first commit that fails its check says so wherever one looks', async () => {
  const { stdout: status } = await until(async () => {
    const answer = await server.cli('status');
    return answer.stdout.includes('has no artifacts') ? answer : null;
  }, 120_000);
  expect(status).toContain('(trunk) has no artifacts: "api" has no artifact: the check "unit" failed');
  expect((await server.cli('why', 'qa')).stdout).toMatch(/cannot run: "api" has no artifact.*\n.*towpath logs/);
  const log = await server.cli('logs', 'trunk', 'api');
  expect(log.stdout).toContain('parcels have a price');
  expect(log.stdout).toMatch(/Check "unit" failed: it ended with exit code 1\.\s*$/);
}, 150_000);

test('a version that is tagged before its commit was live goes on by itself when it is', async () => {
  const commit = await repository.commit('Parcels have a price', { 'api/test/price.test.js': testThat(true) });
  await repository.git('tag', 'v1.0.0');
  const prod = await until(
    async () => {
      const detail = await server.client.call('environment.show', {
        params: { project: 'courier', environment: 'prod' },
      });
      return detail.current?.commit === commit ? detail : null;
    },
    120_000,
    async () => (await server.cli('why', 'prod')).stdout,
  );
  expect(prod.services.map(({ service }) => service)).toEqual(['api', 'mailer']);
  expect((await server.cli('logs', 'prod', 'mailer')).stdout).toContain('Built sha256:');
});
