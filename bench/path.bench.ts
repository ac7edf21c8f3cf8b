import { createHmac } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { sql } from 'kysely';

import { startForge, type ForgeRepository } from '../src/git/testing/forge.ts';
import { openStore, type Store } from '../src/store/database.ts';
import { startEmbeddedPostgres } from '../src/store/embedded/postgres.ts';
import { median } from './figure.ts';
import type { Figure } from './figure.ts';
import { removeTowpath, type RunningTowpath, startTowpath, until } from './towpath.ts';

const WEBHOOKS = 10;
const POLLS = 2;
const REUSES = 10;
const SECRET = 'the secret of the bench';
const CONFIG = `
project: bench
services: { web: { path: web, build: { node: { start: main.js } }, port: 3000 } }
environments: { qa: { on: { merge: main }, deploy: process, settle: 0s } }
`;

interface Stage {
  readonly server: RunningTowpath;
  readonly store: Store;
  readonly repository: ForgeRepository;
}

/** From a push to the queued build, and from a ref that was seen to the deployment of an artifact that is there. */
export async function run(): Promise<Figure[]> {
  const data = await mkdtemp(join(tmpdir(), 'towpath-bench-path-'));
  const forge = await startForge();
  const server = await startTowpath(data, { BENCH_SECRET: SECRET });
  const store = await openStore((await startEmbeddedPostgres({ directory: join(data, 'pg') })).url);
  try {
    const repository = await forge.createRepository('bench');
    await repository.commit({ files: { 'towpath.yaml': CONFIG, 'web/main.js': program(0) } });
    await server.client.call('project.add', { body: { url: repository.url } });
    await sql`update repository set webhook_secret = 'env:BENCH_SECRET'`.execute(store.db);
    await until(async () => ((await isLive(store)) ? true : null));
    const stage = { server, store, repository };
    return [...(await pushes(stage)), ...(await reuses(stage))];
  } finally {
    await sql`update environment set expires_at = now()`.execute(store.db).catch(() => undefined);
    await store.close();
    await server.stop();
    await forge.close();
    await removeTowpath(data);
  }
}

async function pushes(stage: Stage): Promise<Figure[]> {
  const byWebhook: number[] = [];
  for (let i = 1; i <= WEBHOOKS; i++) byWebhook.push(await queuedAfter(stage, i, () => sendWebhook(stage, i)));
  const byPoll: number[] = [];
  for (let i = 1; i <= POLLS; i++) byPoll.push(await queuedAfter(stage, WEBHOOKS + i, () => Promise.resolve()));
  return [
    { name: 'path.push-to-queued.webhook', value: median(byWebhook), unit: 'ms', goal: { op: '<=', value: 2000 } },
    { name: 'path.push-to-queued.webhook.max', value: Math.max(...byWebhook), unit: 'ms' },
    { name: 'path.push-to-queued.poll.max', value: Math.max(...byPoll), unit: 'ms', goal: { op: '<=', value: 60_000 } },
  ];
}

/** @returns milliseconds from the push to the row of its build */
async function queuedAfter({ store, repository }: Stage, count: number, tell: () => Promise<void>): Promise<number> {
  const began = Date.now();
  const commit = await repository.commit({ files: { 'web/main.js': program(count) } });
  await tell();
  const { at } = await until(async () => {
    const row = await store.db
      .selectFrom('artifact')
      .select('requested_at as at')
      .where('built_for_commit', '=', commit)
      .executeTakeFirst();
    return row ?? null;
  }, 20);
  await until(async () => ((await isLive(store)) ? true : null));
  return at.getTime() - began;
}

/** Commits that change nothing of the service: what is measured is our own time between the two. */
async function reuses(stage: Stage): Promise<Figure[]> {
  const times: number[] = [];
  for (let i = 1; i <= REUSES; i++) {
    const commit = await stage.repository.commit({ files: { 'README.md': String(i) } });
    await sendWebhook(stage, 1000 + i);
    const { ms } = await until(async () => {
      const { rows } = await sql<{ ms: number }>`
        select extract(epoch from promotion_event.at - ref_event.seen_at)::float8 * 1000 as ms
        from promotion_event
          join promotion on promotion.id = promotion_event.promotion_id
          join release on release.id = promotion.release_id
          join ref_event on ref_event.after_sha = release.commit_sha
        where promotion_event.to_state = 'deploying' and release.commit_sha = ${commit}`.execute(stage.store.db);
      return rows[0] ?? null;
    });
    times.push(ms);
    await until(async () => ((await isLive(stage.store)) ? true : null));
  }
  return [
    { name: 'path.seen-to-deploying.p50', value: median(times), unit: 'ms', goal: { op: '<=', value: 1000 } },
    { name: 'path.seen-to-deploying.max', value: Math.max(...times), unit: 'ms' },
  ];
}

/** The newest commit of the branch runs, and nothing is under way. */
async function isLive({ db }: Store): Promise<boolean> {
  const { rows } = await sql<{ live: boolean }>`
    select exists (
      select from environment
        join release on release.id = environment.current_release_id
        join ref on ref.commit_sha = release.commit_sha and ref.name = 'refs/heads/main'
      where not exists (select from promotion where ended_at is null)) as live`.execute(db);
  return rows[0]?.live === true;
}

async function sendWebhook({ server, store }: Stage, count: number): Promise<void> {
  const { id } = await store.db.selectFrom('repository').select('id').executeTakeFirstOrThrow();
  const timestamp = String(Math.floor(Date.now() / 1000));
  const signature = createHmac('sha256', SECRET).update(`msg_${count}.${timestamp}.{}`).digest('base64');
  const answer = await fetch(`${server.client.server}/hooks/${id}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'webhook-id': `msg_${count}`,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${signature}`,
    },
    body: '{}',
  });
  if (!answer.ok) throw new Error(`The webhook was answered with ${answer.status}: ${await answer.text()}`);
}

function program(count: number): string {
  return `process.once('SIGTERM', () => process.exit()); // ${count}
require('node:http').createServer((_, response) => response.end('well')).listen(process.env.PORT);\n`;
}
