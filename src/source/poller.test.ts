import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';

import { listRefs } from '../git/ls-refs.ts';
import { openMirror } from '../git/mirror.ts';
import { startForge, type Forge, type ForgeRepository } from '../git/testing/forge.ts';
import { fixedClock } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import type { Store } from '../store/database.ts';
import { testStore } from '../store/testing.ts';
import { unseenOf } from './member-store.ts';
import { claimDue, recordPoll, type RefNews } from './poll-store.ts';
import { pollOnce, runPoller, type PollDeps } from './poller.ts';
import { createServerQuiet } from './server-quiet.ts';
import { wakeRepository } from './wake-store.ts';

let forge: Forge;
let store: Store;
beforeAll(async () => {
  forge = await startForge();
  store = await testStore();
});
afterEach(async () => {
  forge.answer = undefined;
  await store.db
    .updateTable('repository')
    .set({ next_poll_at: new Date('9999-01-01') })
    .execute();
});
afterAll(async () => {
  await forge.close();
  await store.close();
});

test('the first poll tells every ref once, and that it is the first', async () => {
  const { repository, poll, news } = await watched();
  const head = await repository.commit({ files: { a: '1' } });
  await repository.git('tag', '-a', '-m', 'one', 'v1', head);
  await poll();
  expect(news).toMatchObject([{ isFirst: true, defaultBranch: 'refs/heads/main' }]);
  expect(told(news)).toEqual([`created refs/heads/main ${head}`, `created refs/tags/v1 ${head}`]);
  await poll();
  expect(news).toHaveLength(1);
});

test('branches that move, are rewritten or deleted, and tags that move, are told apart', async () => {
  const { repository, poll, news } = await watched();
  const one = await repository.commit({ files: { a: '1' } });
  const feature = await repository.commit({ branch: 'feature', from: 'main', files: { b: '1' } });
  await repository.git('tag', 'v1', one);
  await poll();
  news.length = 0;

  const two = await repository.commit({ files: { a: '2' } });
  const rewritten = await repository.commit({ branch: 'feature', force: true, files: { b: '2' } });
  await repository.git('tag', '-f', 'v1', two);
  await repository.git('tag', '-a', '-m', 'rc', 'rc-1', two);
  await poll();
  expect(told(news)).toEqual([
    `created refs/tags/rc-1 ${two}`,
    `forced refs/heads/feature ${feature} ${rewritten}`,
    `moved refs/heads/main ${one} ${two}`,
    `moved refs/tags/v1 ${one} ${two}`,
  ]);
  news.length = 0;

  await repository.git('update-ref', '-d', 'refs/heads/feature');
  await repository.git('update-ref', '-d', 'refs/tags/v1');
  await poll();
  expect(told(news)).toEqual([`deleted refs/heads/feature ${rewritten}`, `deleted refs/tags/v1 ${two}`]);
  news.length = 0;

  await repository.git('branch', 'feature', two);
  await poll();
  expect(told(news)).toEqual([`created refs/heads/feature ${two}`]);
});

test('a branch that is rewritten to an older commit is forced, too', async () => {
  const { repository, poll, news } = await watched();
  const one = await repository.commit({ files: { a: '1' } });
  const two = await repository.commit({ files: { a: '2' } });
  await poll();
  await repository.git('update-ref', 'refs/heads/main', one);
  await poll();
  expect(told(news)).toContain(`forced refs/heads/main ${two} ${one}`);
});

test('a tag that is written anew for the same commit is no news, though its object differs', async () => {
  const { id, repository, poll, news } = await watched();
  const head = await repository.commit({ files: { a: '1' } });
  await repository.git('tag', '-a', '-m', 'one', 'v1', head);
  await poll();
  news.length = 0;
  await repository.git('tag', '-f', '-a', '-m', 'one, again', 'v1', head);
  await poll();
  expect(told(news)).toEqual([]);
  const row = await store.db
    .selectFrom('ref')
    .selectAll()
    .where('repository_id', '=', id)
    .where('name', '=', 'refs/tags/v1')
    .executeTakeFirstOrThrow();
  expect(row.oid).toBe(await repository.git('rev-parse', 'refs/tags/v1'));
});

test('a branch that git refuses does not silence the others', async () => {
  const { repository, poll, news } = await watched();
  const one = await repository.commit({ files: { a: '1' } });
  await repository.commit({ branch: 'evil', from: 'main', files: { b: '1' } });
  await poll();
  news.length = 0;
  const two = await repository.commit({ files: { a: '2' } });
  const blob = Buffer.from(await repository.git('rev-parse', 'main:a'), 'hex');
  const tree = await repository.write('tree', Buffer.concat([Buffer.from('100644 .git\0'), blob]));
  await repository.git('update-ref', 'refs/heads/evil', await repository.git('commit-tree', '-m', 'evil', tree));
  await poll();
  expect(told(news)).toContain(`moved refs/heads/main ${one} ${two}`);
  expect(told(news)).toHaveLength(2);
});

test('a commit that is force-pushed away while it is looked at is looked for again', async () => {
  const { repository, deps, poll, clock, news } = await watched();
  const one = await repository.commit({ files: { a: '1' } });
  await poll();
  news.length = 0;
  await repository.commit({ files: { a: '2' } });
  clock.advance(60_000);
  let three = '';
  const list: PollDeps['list'] = async (remote, options) => {
    const listing = await listRefs(remote, options);
    if (three === '') {
      three = await repository.commit({ files: { a: '3' }, from: one, force: true });
      await repository.git('reflog', 'expire', '--expire=now', '--all');
      await repository.git('gc', '--quiet', '--prune=now');
    }
    return listing;
  };
  expect(await pollOnce({ ...deps, list })).toMatchObject([{ outcome: 'listed' }]);
  expect(told(news)).toEqual([`forced refs/heads/main ${one} ${three}`]);
});

test('polls that were missed lose nothing: the next one tells the way from what was known', async () => {
  const { repository, poll, news } = await watched();
  const one = await repository.commit({ files: { a: '1' } });
  await poll();
  news.length = 0;
  await repository.commit({ files: { a: '2' } });
  await repository.commit({ branch: 'short-lived', files: { b: '1' } });
  await repository.git('update-ref', '-d', 'refs/heads/short-lived');
  const three = await repository.commit({ files: { a: '3' } });
  await poll();
  expect(told(news)).toEqual([`moved refs/heads/main ${one} ${three}`]);
});

test('two processes that poll at once tell each change once', async () => {
  const { id, repository, deps, clock, news } = await watched();
  const head = await repository.commit({ files: { a: '1' } });
  const results = await Promise.all([pollOnce(deps), pollOnce(deps), pollOnce(deps)]);
  expect(results.flat()).toHaveLength(1);
  clock.advance(600_000);
  await Promise.all([pollOnce(deps), pollOnce(deps)]);
  expect(told(news)).toEqual([`created refs/heads/main ${head}`]);
  expect(await eventsOf(id)).toHaveLength(1);
});

test('a poller that lost its lease writes nothing, the one that took over writes all', async () => {
  const { id, repository, deps, clock, news } = await watched();
  const head = await repository.commit({ files: { a: '1' } });
  const [slow] = await claimDue(store, { now: clock.now(), limit: 1, leaseMs: 30_000 });
  if (slow === undefined) throw new Error('nothing to claim');
  expect(await pollOnce(deps)).toEqual([]); // the lease holds
  clock.advance(30_001);
  await pollOnce(deps);
  const written = await recordPoll(
    store,
    slow,
    { kind: 'listed', hash: 'old', refs: [], defaultBranch: null, forced: new Set() },
    {
      now: clock.now(),
      planNext: () => ({ at: 0, failures: 0, wokenAt: null }),
      onNews: deps.onNews,
    },
  );
  expect(written).toBe('stale');
  expect(told(news)).toEqual([`created refs/heads/main ${head}`]);
  expect(await eventsOf(id)).toHaveLength(1);
});

test('events, refs and the work that follows are written together or not at all', async () => {
  const { id, repository, deps, clock, news } = await watched();
  await repository.commit({ files: { a: '1' } });
  await expect(pollOnce({ ...deps, onNews: () => Promise.reject(new Error('the queue is away')) })).rejects.toThrow(
    'the queue is away',
  );
  expect(await eventsOf(id)).toEqual([]);
  expect(await store.db.selectFrom('ref').selectAll().where('repository_id', '=', id).execute()).toEqual([]);
  clock.advance(60_000);
  await pollOnce(deps);
  expect(news).toHaveLength(1);
});

test('a failure is kept with its reason, backs off, and is forgotten at the first success', async () => {
  const { id, repository, deps, clock, news } = await watched();
  await repository.commit({ files: { a: '1' } });
  forge.answer = () => ({ status: 500 });
  const pauses: number[] = [];
  for (let i = 0; i < 8; i++) {
    expect(await pollOnce(deps)).toMatchObject([{ outcome: 'failed' }]);
    const { next_poll_at } = await rowOf(id);
    pauses.push(next_poll_at.getTime() - clock.now());
    clock.advance(pauses.at(-1) ?? 0);
  }
  const row = await rowOf(id);
  expect(row).toMatchObject({ poll_failures: 8, poll_error: { code: 'git.unreachable' }, polled_at: null });
  expect(await unseenOf(store.db, row.project_id)).toMatchObject({ code: 'git.unreachable' });
  expect(pauses).toEqual([45_000, 90_000, 180_000, 360_000, 720_000, 1_350_000, 1_350_000, 1_350_000]);
  forge.answer = undefined;
  await pollOnce(deps);
  expect(await rowOf(id)).toMatchObject({ poll_failures: 0, poll_error: null });
  expect(await unseenOf(store.db, row.project_id)).toBeNull();
  expect(news).toHaveLength(1);
});

test('a server that suddenly lists nothing deletes nothing', async () => {
  const { id, repository, poll, news } = await watched();
  await repository.commit({ files: { a: '1' } });
  await poll();
  news.length = 0;
  forge.answer = () => ({
    status: 200,
    headers: { 'content-type': 'application/x-git-upload-pack-result' },
    body: '0000',
  });
  await poll();
  expect(await rowOf(id)).toMatchObject({ poll_error: { code: 'source.refs-vanished' } });
  forge.answer = undefined;
  await poll();
  expect(news).toEqual([]);
});

test('a wake-up during a poll leads to another poll at once', async () => {
  const { id, repository, deps, clock, news } = await watched();
  await repository.commit({ files: { a: '1' } });
  const during: PollDeps['list'] = async (remote, options) => {
    const listing = await listRefs(remote, options);
    clock.advance(5);
    await repository.commit({ files: { a: '2' } });
    await wakeRepository(store.db, id, clock.now());
    return listing;
  };
  await pollOnce({ ...deps, list: during, concurrency: 2 });
  expect((await rowOf(id)).next_poll_at.getTime()).toBe(clock.now());
  await pollOnce(deps);
  expect(news).toHaveLength(2);
});

test('a wake-up that finds nothing is followed by a second and a third look, then by the usual pace', async () => {
  const { id, repository, poll, deps, clock } = await watched();
  await repository.commit({ files: { a: '1' } });
  await poll();
  await wakeRepository(store.db, id, clock.now());
  const pauses: number[] = [];
  for (let i = 0; i < 3; i++) {
    await pollOnce(deps);
    pauses.push((await rowOf(id)).next_poll_at.getTime() - clock.now());
    clock.advance(pauses.at(-1) ?? 0);
  }
  expect(pauses).toEqual([2_000, 8_000, 30_000]);
});

test('the running poller wakes by itself, by a webhook, and stops when told', async () => {
  const { id, repository, deps, clock, news } = await watched();
  const first = await repository.commit({ files: { a: '1' } });
  const end = new AbortController();
  const heard = new Map<string, () => void>();
  const hears = (sha: string): Promise<void> => new Promise((resolve) => heard.set(sha, resolve));
  const onNews: PollDeps['onNews'] = async (tx, told) => {
    await deps.onNews(tx, told);
    for (const { after } of told.events) heard.get(after ?? '')?.();
  };
  const firstHeard = hears(first);
  const running = runPoller({ ...deps, onNews }, end.signal);
  await firstHeard;
  const second = await repository.commit({ files: { a: '2' } });
  const secondHeard = hears(second);
  await wakeRepository(store.db, id, clock.now());
  await secondHeard;
  end.abort();
  await running;
  expect((await rowOf(id)).lease_until).toBeNull();
  expect(news).toHaveLength(2);
});

test('ten thousand refs are written in one poll, and a quiet poll after it reads nothing', async () => {
  const { id, repository, deps, clock, news } = await watched();
  const head = await repository.commit({ files: { a: '1' } });
  const packed = Array.from({ length: 10_000 }, (_, i) => `${head} refs/tags/t${String(i).padStart(5, '0')}`);
  await repository.packRefs(packed);
  expect(await pollOnce(deps)).toMatchObject([{ outcome: 'listed', events: 10_001 }]);
  expect(await eventsOf(id)).toHaveLength(10_001);
  clock.advance(60_000);
  expect(await pollOnce(deps)).toMatchObject([{ outcome: 'unchanged' }]);
  expect(news).toHaveLength(1);
});

interface Watched {
  readonly id: string;
  readonly repository: ForgeRepository;
  readonly deps: PollDeps;
  readonly clock: ReturnType<typeof fixedClock>;
  readonly news: RefNews[];
  /** Polls, at a time when the repository is due. */
  readonly poll: () => Promise<void>;
}

test('a server that asks to be left alone is asked about none of its repositories until then', async () => {
  const [one, other] = [await watched(), await watched()];
  for (const { repository } of [one, other]) await repository.commit({ files: { a: '1' } });
  const deps: PollDeps = { ...one.deps, concurrency: 1, quiet: createServerQuiet() };
  forge.answer = () => ({ status: 429, headers: { 'retry-after': '90' } });
  const before = forge.requests.length;
  await pollOnce(deps);
  expect(forge.requests).toHaveLength(before + 1);
  const until = new Date(one.clock.now() + 90_000);
  for (const { id } of [one, other]) {
    const { poll_error, next_poll_at } = await rowOf(id);
    expect(poll_error).toMatchObject({ code: 'git.busy' });
    expect(JSON.stringify(poll_error)).toContain(`until ${until.toISOString()}`);
    expect(next_poll_at.getTime()).toBeGreaterThanOrEqual(until.getTime());
  }

  forge.answer = undefined;
  await wakeRepository(store.db, other.id, one.clock.now() + 1000);
  one.clock.advance(1000);
  expect(await pollOnce(deps)).toMatchObject([{ repositoryId: other.id, outcome: 'failed' }]);
  one.clock.advance(90_000);
  expect((await pollOnce(deps)).map(({ outcome }) => outcome)).toEqual(['listed', 'listed']);
});

async function watched(): Promise<Watched> {
  const id = newId('rep');
  const projectId = newId('prj');
  const repository = await forge.createRepository(id);
  const clock = fixedClock(1_800_000_000_000);
  await store.db
    .insertInto('project')
    .values({ id: projectId, name: projectId.replace('_', '-') })
    .execute();
  await store.db
    .insertInto('repository')
    .values({
      id,
      project_id: projectId,
      url: repository.url,
      default_branch: 'main',
      next_poll_at: new Date(clock.now()),
    })
    .execute();
  const directory = await mkdtemp(join(tmpdir(), 'towpath-poll-'));
  const mirror = await openMirror({ url: repository.url, directory, allow: ['http'] });
  onTestFinished(async () => {
    mirror.close();
    await rm(directory, { recursive: true, force: true });
  });
  const news: RefNews[] = [];
  const deps: PollDeps = {
    store,
    clock,
    chance: () => 0.5,
    remoteOf: ({ url }) => ({ url, allow: ['http'] }),
    list: listRefs,
    mirrorOf: () => Promise.resolve(mirror),
    onNews: (_tx, told) => {
      news.push(told);
      return Promise.resolve();
    },
  };
  const poll = async (): Promise<void> => {
    clock.advance(3_600_000);
    expect(await pollOnce(deps)).toHaveLength(1);
  };
  return { id, repository, deps, clock, news, poll };
}

function told(news: readonly RefNews[]): string[] {
  return news
    .flatMap(({ events }) => events)
    .map(({ kind, ref, before, after }) => [kind, ref, before, after].filter((part) => part !== null).join(' '))
    .sort();
}

function rowOf(id: string) {
  return store.db.selectFrom('repository').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
}

function eventsOf(id: string) {
  return store.db.selectFrom('ref_event').selectAll().where('repository_id', '=', id).execute();
}
