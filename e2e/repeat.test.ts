import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { openStore, type Store } from '../src/store/database.ts';
import { EMPTY, testDatabase } from '../src/store/testing.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer, until } from './testing/server.ts';
import { program } from './testing/small-shop.ts';
import { storyOf } from './testing/story.ts';

const CONFIG = `
project: twice
services: { web: { path: ., build: { node: { start: main.js } }, port: 3000 } }
roles: { managers: [bob] }
environments:
  prod: { on: manual, accepts: any, gates: [{ approvals: { of: managers } }], deploy: process, settle: 100ms }
`;

let data: string;
let database: Awaited<ReturnType<typeof testDatabase>>;
let store: Store;
let server: TestServer;
let repository: TestRepository;
let commit: string;

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), 'towpath-e2e-repeat-'));
  [database, repository] = await Promise.all([testDatabase({ template: EMPTY }), createRepository()]);
  server = await startServer({ data, databaseUrl: database.url });
  store = await openStore(database.url, { maxConnections: 3 });
  commit = await repository.commit('A shop', { 'towpath.yaml': CONFIG, 'main.js': program('hello') });
  await server.client.call('project.add', { body: { url: repository.url } });
  await storyOf(server, 'twice').release(commit, 'ready');
}, 180_000);

afterAll(async () => {
  await server?.dispose();
  await store?.close();
  await repository?.remove();
  await database?.drop();
  if (data !== undefined) await rm(data, { recursive: true, force: true, maxRetries: 5 });
});

test('a request whose server was killed before its answer was kept finds, asked again, what it made', async () => {
  // the keeping of answers waits for a lock that the test holds, and never comes to its end
  await store.pool.query(`
    create function towpath.never_kept() returns trigger language plpgsql as $$
      begin perform pg_advisory_xact_lock(1); raise exception 'the server is gone'; end $$;
    create trigger never_kept before update on towpath.kept_answer for each row execute function towpath.never_kept()`);
  const lock = await store.pool.connect();
  await lock.query('select pg_advisory_lock(1)');
  const unanswered = ask('key-1').catch(() => null);
  const [made] = await until(async () => {
    const found = await promotions();
    return found.length === 0 ? null : found;
  });
  await until(async () => {
    const { rows } = await store.pool.query(`select 1 from pg_locks where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`);
    return rows.length === 0 ? null : true;
  });
  await server.kill();
  lock.release(true);
  expect(await unanswered).toBeNull();
  await store.pool.query('drop trigger never_kept on towpath.kept_answer');
  await server.restart();

  const again = await ask('key-1');
  expect(again).toMatchObject({ status: 200, body: { kind: 'started', promotion: { id: made?.id } } });
  expect(await ask('key-1')).toMatchObject({ status: 200, replayed: 'true', body: again.body });
  expect(await promotions()).toHaveLength(1);
}, 120_000);

test('of those who send one key at the same moment one acts, and the others get its answer or are told to wait', async () => {
  const before = (await promotions()).length;
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask('key-2')));
  const made = new Set(answers.flatMap(({ body }) => ('promotion' in body ? [body.promotion.id] : [])));
  expect(made.size).toBe(1);
  for (const { status, body } of answers)
    if (status !== 200) expect(body).toMatchObject({ status: 409, code: 'http.key-busy' });
  expect(await promotions()).toHaveLength(before + 1);
});

async function ask(key: string) {
  const answer = await fetch(`${server.client.server}/api/v1/projects/twice/environments/prod/promotions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.token}`, 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ release: commit }),
  });
  const body = (await answer.json()) as { promotion: { id: string } } | { code: string };
  return { status: answer.status, replayed: answer.headers.get('idempotency-replayed'), body };
}

async function promotions(): Promise<{ id: string }[]> {
  return store.db.selectFrom('promotion').select('id').execute();
}
