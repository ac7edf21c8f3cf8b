import { createHmac } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { sql } from 'kysely';
import { Agent } from 'undici';

import { git } from '../src/git/git.ts';
import { listRefs } from '../src/git/ls-refs.ts';
import { openMirror } from '../src/git/mirror.ts';
import { parseRemoteUrl } from '../src/git/remote.ts';
import { startForge } from '../src/git/testing/forge.ts';
import { systemClock } from '../src/lib/clock.ts';
import { POLL_SETTINGS } from '../src/source/poll-plan.ts';
import { pollOnce, runPoller, type PollDeps } from '../src/source/poller.ts';
import { receiveWebhook } from '../src/source/webhook.ts';
import { openStore } from '../src/store/database.ts';
import { startEmbeddedPostgres } from '../src/store/embedded/postgres.ts';
import { migrate } from '../src/store/migrate.ts';
import { alternate, median, percentile } from './figure.ts';
import type { Figure } from './figure.ts';
import { childrenOf, cpuMs, familyCpuMs } from './cpu.ts';
import { startRefServer } from './ref-server.ts';

const REPOSITORIES = 100;
const CONCURRENCY = 8;
const MANY = 1000;
const ROUNDS = 3;
/** Of the thousand, so many are asked by git: each costs the same. */
const SAMPLE = 100;

/** One process per poll against one request per poll, and the whole way from a push to the event that starts a build. */
export async function run(): Promise<Figure[]> {
  return [...(await listing()), ...(await thousand()), ...(await wakeUp())];
}

/** Against a server that answers from memory: what is measured is the one who asks. */
async function listing(): Promise<Figure[]> {
  const { origin, close } = await startRefServer(31);
  const dispatcher = new Agent({ connections: CONCURRENCY });
  const urls = Array.from({ length: REPOSITORIES }, (_, i) => `${origin}/r${i}.git`);
  const known = new Map<string, string>();
  try {
    const times = await alternate(5, [
      {
        name: 'native',
        run: () =>
          each(urls, async (url) => {
            const { hash } = await listRefs({ url, allow: ['http'] }, { dispatcher, known: known.get(url) });
            known.set(url, hash);
          }),
      },
      {
        name: 'process',
        run: () => each(urls, lsRemote),
      },
    ]);
    const rate = (ms: readonly number[]): number => (REPOSITORIES / median(ms)) * 1000;
    return [
      { name: 'poll.native.rate', value: rate(times.native), unit: '/s' },
      { name: 'poll.process.rate', value: rate(times.process), unit: '/s' },
      {
        name: 'poll.native.times-faster',
        value: median(times.process) / median(times.native),
        unit: 'x',
        goal: { op: '>=', value: 5 },
      },
    ];
  } finally {
    await dispatcher.close();
    await close();
  }
}

/** The whole poll of a thousand repositories, the store's part with it, against nothing but a process of git for each. */
async function thousand(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-bench-poll-'));
  const { origin, close } = await startRefServer(31);
  const postgres = await startEmbeddedPostgres({ directory: join(directory, 'pg') });
  await migrate(postgres.url);
  const store = await openStore(postgres.url);
  const dispatcher = new Agent({ connections: CONCURRENCY });
  const urls = Array.from({ length: MANY }, (_, i) => `${origin}/r${i}.git`);
  const postmaster = Number((await readFile(join(directory, 'pg/data/postmaster.pid'), 'utf8')).split('\n')[0]);
  const deps: PollDeps = {
    store,
    clock: systemClock,
    chance: Math.random,
    remoteOf: ({ url }) => ({ url, allow: ['http'] }),
    list: (remote, options) => listRefs(remote, { dispatcher, ...options }),
    mirrorOf: () => Promise.reject(new Error('nothing moves')),
    onNews: () => Promise.resolve(),
  };
  /** Of the poller and of Postgres. */
  const used = async (): Promise<number> => {
    const backends = await Promise.all((await childrenOf(postmaster)).map(cpuMs));
    return (await cpuMs(process.pid)) + backends.reduce((sum, ms) => sum + ms, 0);
  };
  const round = async (): Promise<void> => {
    await sql`update repository set next_poll_at = now()`.execute(store.db);
    await pollOnce(deps);
  };
  try {
    await store.db.insertInto('project').values({ id: 'prj', name: 'bench' }).execute();
    const rows = urls.map((url, i) => ({ id: `rep${i}`, project_id: 'prj', url, default_branch: 'b0' }));
    await store.db.insertInto('repository').values(rows).execute();
    await round();
    const wall: number[] = [];
    const own: number[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      const [began, cpu] = [performance.now(), await used()];
      await round();
      wall.push((performance.now() - began) / 1000);
      own.push((await used()) - cpu);
    }
    const before = await familyCpuMs(process.pid);
    const beganMs = await cpuMs(process.pid);
    await each(urls.slice(0, SAMPLE), lsRemote);
    // of git alone: what it costs to start it from here is not counted
    const sample = (await familyCpuMs(process.pid)) - before - ((await cpuMs(process.pid)) - beganMs);
    const git = (sample * MANY) / SAMPLE;
    const perMinute = (ms: number): number => ((ms / 1000) * 60_000) / POLL_SETTINGS.intervalMs;
    return [
      {
        name: 'poll.1000.round',
        value: median(wall),
        unit: 's',
        goal: { op: '<=', value: POLL_SETTINGS.intervalMs / 1000 },
      },
      { name: 'poll.1000.cpu', value: perMinute(median(own)), unit: 's/min', goal: { op: '<=', value: 60 } },
      { name: 'poll.1000.process.cpu', value: perMinute(git), unit: 's/min' },
      { name: 'poll.1000.cpu.times-less', value: git / median(own), unit: 'x', goal: { op: '>=', value: 5 } },
    ];
  } finally {
    await dispatcher.close();
    await store.close();
    await postgres.stop();
    await close();
    await rm(directory, { recursive: true, force: true });
  }
}

function lsRemote(url: string): Promise<unknown> {
  return git(
    ['ls-remote', '--quiet', '--symref', '--end-of-options', 'origin', 'HEAD', 'refs/heads/*', 'refs/tags/*'],
    { directories: [], remote: { url: parseRemoteUrl(url, ['http']) }, config: [['remote.origin.url', url]] },
  );
}

/** A real git server, the real store: push, signed webhook, poll, mirror fetched, event in the table. */
async function wakeUp(rounds = 20): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-bench-poll-'));
  const forge = await startForge();
  const postgres = await startEmbeddedPostgres({ directory: join(directory, 'pg') });
  await migrate(postgres.url);
  const store = await openStore(postgres.url);
  const repository = await forge.createRepository('bench');
  const mirror = await openMirror({ url: repository.url, directory: join(directory, 'mirror'), allow: ['http'] });
  const secret = 'bench-secret';
  let heard: () => void = () => undefined;
  const next = (): Promise<void> => new Promise((resolve) => (heard = resolve));
  const deps: PollDeps = {
    store,
    clock: systemClock,
    chance: Math.random,
    remoteOf: ({ url }) => ({ url, allow: ['http'] }),
    list: listRefs,
    mirrorOf: () => Promise.resolve(mirror),
    onNews: () => {
      heard();
      return Promise.resolve();
    },
  };
  const end = new AbortController();
  let poller: Promise<void> | undefined;
  try {
    await repository.commit({ files: { a: '0' } });
    await store.db.insertInto('project').values({ id: 'prj', name: 'bench' }).execute();
    await store.db
      .insertInto('repository')
      .values({ id: 'rep', project_id: 'prj', url: repository.url, default_branch: 'main', webhook_secret: secret })
      .execute();
    const first = next();
    poller = runPoller(deps, end.signal);
    await first;
    const times: number[] = [];
    for (let i = 1; i <= rounds; i++) {
      await repository.commit({ files: { a: String(i) } });
      const event = next();
      const start = performance.now();
      const timestamp = String(Math.floor(Date.now() / 1000));
      const signature = createHmac('sha256', secret).update(`msg_${i}.${timestamp}.{}`).digest('base64');
      await receiveWebhook(
        {
          repositoryId: 'rep',
          headers: { 'webhook-id': `msg_${i}`, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` },
          body: Buffer.from('{}'),
        },
        { store, now: Date.now(), secretOf: (reference) => Promise.resolve(reference) },
      );
      await event;
      times.push(performance.now() - start);
    }
    return [
      { name: 'poll.webhook-to-event.p50', value: median(times), unit: 'ms', goal: { op: '<=', value: 1000 } },
      { name: 'poll.webhook-to-event.p95', value: percentile(times, 95), unit: 'ms', goal: { op: '<=', value: 2000 } },
    ];
  } finally {
    end.abort();
    await poller;
    mirror.close();
    await store.close();
    await postgres.stop();
    await forge.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}
