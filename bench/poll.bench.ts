import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Agent } from 'undici';

import { git } from '../src/git/git.ts';
import { listRefs } from '../src/git/ls-refs.ts';
import { openMirror } from '../src/git/mirror.ts';
import { parseRemoteUrl } from '../src/git/remote.ts';
import { startForge } from '../src/git/testing/forge.ts';
import { systemClock } from '../src/lib/clock.ts';
import { runPoller, type PollDeps } from '../src/source/poller.ts';
import { receiveWebhook } from '../src/source/webhook.ts';
import { openStore } from '../src/store/database.ts';
import { startEmbeddedPostgres } from '../src/store/embedded/postgres.ts';
import { migrate } from '../src/store/migrate.ts';
import { alternate, median, percentile } from './figure.ts';
import type { Figure } from './figure.ts';

const REPOSITORIES = 100;
const CONCURRENCY = 8;

/** One process per poll against one request per poll, and the whole way from a push to the event that starts a build. */
export async function run(): Promise<Figure[]> {
  return [...(await listing()), ...(await wakeUp())];
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
        run: () =>
          each(urls, (url) =>
            git(
              ['ls-remote', '--quiet', '--symref', '--end-of-options', 'origin', 'HEAD', 'refs/heads/*', 'refs/tags/*'],
              {
                directories: [],
                remote: { url: parseRemoteUrl(url, ['http']) },
                config: [['remote.origin.url', url]],
              },
            ),
          ),
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

async function startRefServer(refs: number): Promise<{ origin: string; close: () => Promise<void> }> {
  const packet = (line: string): string => (line.length + 4).toString(16).padStart(4, '0') + line;
  const oid = 'a'.repeat(40);
  const lines = Array.from({ length: refs }, (_, i) => packet(`${oid} refs/heads/b${i}\n`)).join('');
  const listing = `${packet(`${oid} HEAD symref-target:refs/heads/b0\n`)}${lines}0000`;
  const capabilities = ['version 2\n', 'ls-refs=unborn\n', 'fetch=filter\n', 'object-format=sha1\n']
    .map(packet)
    .join('');
  const server = createServer((request, response) => {
    const isListing = request.method === 'POST';
    request.resume().on('end', () => {
      response.setHeader('content-type', `application/x-git-upload-pack-${isListing ? 'result' : 'advertisement'}`);
      response.end(isListing ? listing : `${packet('# service=git-upload-pack\n')}0000${capabilities}0000`);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    origin: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
