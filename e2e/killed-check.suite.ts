import { text } from 'node:stream/consumers';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { execIn } from '../src/container/docker/containers.ts';
import { connectDocker, type DockerEngine } from '../src/container/docker/engine.ts';
import { PREDICATES } from '../src/attestation/statement.ts';
import { TASK_LABEL } from '../src/container/docker/task-runner.ts';
import { makePostgresImage } from '../tools/test-machine/image.ts';
import { pushTestImage } from '../tools/test-machine/oci-image.ts';
import { debianRegistryHost, dockerHost } from '../tools/test-machine/machine.ts';
import { openStore, type Store } from '../src/store/database.ts';
import { embeddedUrl } from './testing/kill/stage.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer, until } from './testing/server.ts';
import { program } from './testing/small-shop.ts';
import { type Story, storyOf } from './testing/story.ts';

/** Speaks to the Postgres beside it, and goes on until the test has it end: to be killed in the middle. */
const INTEGRATION = `
const { existsSync } = require('node:fs');
const { connect } = require('node:net');
const encryption = Buffer.from('0000000804d2162f', 'hex'); // of PostgreSQL's protocol: may we speak encrypted?
const socket = connect(5432, process.env.TOWPATH_POSTGRES_HOST, () => socket.write(encryption));
socket.once('data', (answer) => {
  console.log('postgres answered ' + answer);
  socket.end();
  setInterval(() => existsSync('/dev/shm/go') && process.exit(0), 50);
});
`;

const GO = ['node', '-e', "require('node:fs').writeFileSync('/dev/shm/go', '')"]; // the Postgres has no node

const configuration = (postgres: string): string => `
project: killed
services:
  web:
    path: web
    build: { node: { start: main.js, exclude: [/test] } }
    port: 3000
    checks:
      integration: { run: [node, test/integration.js], mount: test, with: postgres }
backing:
  postgres: { image: '${postgres}', port: 5432, ready: [pg_isready, -h, 127.0.0.1, -U, postgres] }
environments:
  qa: { on: { merge: main }, gates: [integration], deploy: process, settle: 100ms }
`;

let engine: DockerEngine;
let server: TestServer;
let store: Store;
let repository: TestRepository;
let story: Story;

beforeAll(async () => {
  const host = await dockerHost();
  engine = await connectDocker({ host });
  const image = await pushTestImage(await debianRegistryHost(), 'killed/postgres', await makePostgresImage());
  server = await startServer({ env: { DOCKER_HOST: host } });
  store = await openStore(await embeddedUrl(server.data), { maxConnections: 1 });
  repository = await createRepository();
  story = storyOf(server, 'killed');
  await repository.commit('first', {
    'towpath.yaml': configuration(image),
    'web/main.js': program('hello'),
    'web/test/integration.js': INTEGRATION,
  });
}, 300_000);

afterAll(async () => {
  await store.close();
  await server.dispose();
  await repository.remove();
});

test('killed while a check and its Postgres run, both and their network go, and it is asked once more and states one answer', async () => {
  const began = Math.floor(Date.now() / 1000);
  await server.client.call('project.add', { body: { url: repository.url } });
  const commit = await repository.git('rev-parse', 'HEAD');
  const both = await until(async () => {
    const running = await containersOfTasks('running');
    return running.length === 2 ? running : null;
  });
  expect(await networksOfTasks()).toHaveLength(1);
  await server.restart();

  await until(async () => {
    const anew = (await containersOfTasks('running')).filter((id) => !both.includes(id));
    const codes = await Promise.all(anew.map((id) => execIn(engine, id, GO, new AbortController().signal)));
    return codes.includes(0) ? true : null;
  });
  await story.live('qa', commit);
  await until(async () => ((await containersOfTasks()).length + (await networksOfTasks()).length === 0 ? true : null));
  const made = await madeSince(began);
  expect(made).toHaveLength(4);
  expect(made).toEqual(expect.arrayContaining(both));
  const { evidence } = await server.client.call('release.show', { params: { project: 'killed', release: commit } });
  expect(evidence).toMatchObject([{ check: 'integration', verdict: 'passed', flaky: false }]);
  await until(async () => ((await statements()).every(({ isDelivered }) => isDelivered) ? true : null));
  expect((await statements()).filter(({ type }) => type === PREDICATES.test)).toHaveLength(1);
}, 300_000);

/** @param states all when none is given */
async function containersOfTasks(...states: string[]): Promise<string[]> {
  const filters = { label: [TASK_LABEL], ...(states.length === 0 ? {} : { status: states }) };
  return (await engine.docker.listContainers({ all: true, filters })).map(({ Id }) => Id);
}

async function networksOfTasks(): Promise<string[]> {
  return (await engine.docker.listNetworks({ filters: { label: [TASK_LABEL] } })).map(({ Id }) => Id);
}

/** All containers of tasks that the engine ever made since then, also those that are gone. */
async function madeSince(seconds: number): Promise<string[]> {
  const now = Math.floor(Date.now() / 1000) + 1;
  const filters = { type: ['container' as const], event: ['create'], label: [TASK_LABEL] };
  const events = text(await engine.docker.getEvents({ since: seconds, until: now, filters }));
  const lines = (await events).split('\n').filter((line) => line !== '');
  return lines.map((line) => (JSON.parse(line) as { id: string }).id);
}

async function statements(): Promise<{ type: string; isDelivered: boolean }[]> {
  const rows = await store.db
    .selectFrom('attestation')
    .select(['predicate_type', 'delivered_at'])
    .orderBy('predicate_type')
    .execute();
  return rows.map((row) => ({ type: row.predicate_type, isDelivered: row.delivered_at !== null }));
}
