import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { hasCode } from '../src/lib/error.ts';
import { EMPTY, testDatabase } from '../src/store/testing.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { program, startServer, type TestServer, until } from './testing/server.ts';

// An api and a worker on one Postgres; the worker looks after its surroundings twice a second.
const CONFIG = `
project: kiosk
services: { web: { path: ., build: { node: { start: main.js } }, port: 3000 } }
environments:
  preview: { on: { branch: 'feature/*' }, ephemeral: { ttl: 1d }, accepts: any, deploy: process, settle: 100ms }
  qa: { on: { merge: main }, deploy: process, settle: 100ms, keep: 1 }
`;

let data: string;
let database: Awaited<ReturnType<typeof testDatabase>>;
let api: TestServer;
let worker: TestServer;
let repository: TestRepository;

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), 'towpath-e2e-servers-'));
  [database, repository] = await Promise.all([testDatabase({ template: EMPTY }), createRepository()]);
  const shared = { data, databaseUrl: database.url };
  api = await startServer({ ...shared, roles: ['api'] });
  worker = await startServer({ ...shared, roles: ['worker'], env: { TOWPATH_CARE_MS: '500' } });
  await repository.commit('A kiosk', { 'towpath.yaml': CONFIG, 'main.js': says('one') });
  await api.client.call('project.add', { body: { url: repository.url } });
}, 180_000);

afterAll(async () => {
  await Promise.all([api?.dispose(), worker?.dispose()]);
  await repository?.remove();
  await database?.drop();
  if (data !== undefined) await rm(data, { recursive: true, force: true, maxRetries: 5 });
});

test('a server with the role api takes wishes, one with the role worker fulfils them', async () => {
  expect(await text(await live('qa'))).toBe('one');
  const answer = await fetch(`${worker.client.server}/api/v1/status`);
  expect(await answer.json()).toMatchObject({ code: 'http.worker-only' });
  expect((await fetch(`${worker.client.server}/v2/`, { headers: authorized() })).status).toBe(200);
}, 150_000);

test('what ran stays known by its digest when the servers come back on other ports', async () => {
  const before = api.client.server;
  await Promise.all([api.restart(), worker.restart({ TOWPATH_CARE_MS: '500' })]);
  expect(api.client.server).not.toBe(before);
  expect(await text(await live('qa'))).toBe('one');
  await repository.commit('Two', { 'main.js': says('two') });
  expect(await text(await live('qa'))).toBe('two');
  const rollback = { params: { project: 'kiosk', environment: 'qa' }, body: { reason: 'one was better' } };
  await api.client.call('environment.rollback', rollback);
  await until(async () => ((await text(await qa())) === 'one' ? true : null));
  await api.client.call('environment.resume', { params: rollback.params });
}, 150_000);

test('the names of images that nothing needs go away by themselves', async () => {
  await repository.git('switch', '--quiet', '--create', 'feature/blue');
  await repository.commit('Blue', { 'main.js': says('blue') });
  await until(async () => ((await tags()).some((tag) => tag.startsWith('env-preview-')) ? true : null));
  await repository.git('switch', '--quiet', 'main');
  await repository.git('branch', '--quiet', '--delete', '--force', 'feature/blue');
  const left = await until(
    async () => {
      const names = (await tags()).filter((tag) => /^(?:env|keep)-/.test(tag));
      return names.some((tag) => tag.includes('preview')) ? null : names;
    },
    120_000,
    async () => `${(await tags()).join(' ')}\n${worker.output()}`,
  );
  expect(left.filter((tag) => tag.startsWith('env-'))).toEqual(['env-qa']);
}, 120_000);

test('a program that was killed is started again, and so is the proxy before it', async () => {
  const url = (await qa()).services[0]?.url ?? '';
  expect(await worker.killPrograms()).toBe(1);
  await until(async () =>
    fetch(url).then(
      async (answer) => ((await answer.text()) === 'one' ? true : null),
      () => null,
    ),
  );
});

test('a second server on the same data is refused, and says what to do', async () => {
  const alone = await startServer();
  try {
    const second = spawn(process.execPath, [program, 'up', '--data', alone.data, '--port', '0'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let output = '';
    second.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const [code] = (await once(second, 'close')) as [number];
    expect(code).toBe(1);
    expect(output).toContain(`Another Towpath server works on the data in ${alone.data}.`);
    expect((await alone.cli('status')).code).toBe(0);
  } finally {
    await alone.dispose();
  }
}, 120_000);

test('told to end, a server ends soon, whoever listens to it', async () => {
  const stream = await fetch(`${api.client.server}/api/v1/events`, { headers: authorized() });
  expect(stream.status).toBe(200);
  for (const server of [api, worker]) {
    const gone = once(server.process, 'exit');
    const began = performance.now();
    server.process.kill('SIGTERM');
    expect(await gone).toEqual([0, null]);
    expect(performance.now() - began).toBeLessThan(60_000);
  }
});

function says(what: string): string {
  return `process.once('SIGTERM', () => process.exit());
require('node:http').createServer((_, response) => response.end('${what}')).listen(process.env.PORT);\n`;
}

function authorized() {
  return { authorization: `Bearer ${api.token}` };
}

async function qa() {
  return api.client.call('environment.show', { params: { project: 'kiosk', environment: 'qa' } });
}

async function live(name: string) {
  const commit = await repository.git('rev-parse', 'main');
  return until(
    async () => {
      const params = { project: 'kiosk', environment: name };
      const detail = await api.client.call('environment.show', { params }).catch((error: unknown) => {
        if (hasCode(error, 'environment.unknown', 'project.unknown')) return null;
        throw error;
      });
      return detail?.current?.commit === commit ? detail : null;
    },
    120_000,
    async () => `${(await api.cli('why', name)).stdout}\n${api.output()}\n${worker.output()}`,
  );
}

async function text({ services }: Awaited<ReturnType<typeof qa>>): Promise<string> {
  return (await fetch(services[0]?.url ?? '')).text();
}

async function tags(): Promise<string[]> {
  const answer = await fetch(`${worker.client.server}/v2/kiosk/web/tags/list`, { headers: authorized() });
  return answer.ok ? ((await answer.json()) as { tags: string[] }).tags : [];
}
