import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';

import { below } from '../../registry/below.ts';
import { createRegistryClient } from '../../registry/client/client.ts';
import type { Registry } from '../../registry/registry.ts';
import { awaitRemovals } from '../../registry/removal-store.ts';
import { type ClosedRegistry, startClosedRegistry } from '../../registry/testing/debian-registry.ts';
import { pushImage, testImage } from '../../registry/testing/images.ts';
import type { Store } from '../../store/database.ts';
import { keptImages } from './image-content.ts';
import { outsideContent } from './outside-content.ts';
import { retainImages } from './retain-images.ts';
import { runInTurn, world } from './testing/run-in-turn.ts';

const log = pino({ level: 'silent' });
const DAY_MS = 86_400_000;
const repository = 'shop/web';

test('in a registry of somebody else images go when nothing has needed them for a day, and only in our repositories', async () => {
  const { store, registry, client } = await outside();
  const [a, b] = await runInTurn(store, registry, ['a', 'b']);
  const left = await pushed(registry, 'its check failed', 'incoming-abc');
  const nightly = await pushed(registry, 'of another tool', 'nightly');
  const others = await testImage([{ of: 'somebody else' }]);
  await pushImage(client, 'others/app', others, 'incoming-abc');
  await registry.tag(repository, a ?? expect.unreachable(), 'keep-prod-s-9');
  const clock = clockAt(Date.now());
  const sweep = sweeping(store, registry, clock);
  await retainImages({ store, registry, log }); // the names stay: this registry deletes none alone
  expect(await registry.tags(repository)).toContain('keep-prod-s-9');
  expect(await sweep()).toEqual({ files: 0, bytes: 0 });
  clock.pass(DAY_MS / 2);
  expect(await sweep()).toEqual({ files: 0, bytes: 0 });
  clock.pass(DAY_MS);
  expect(await sweep()).toMatchObject({ files: 1 });
  expect(await registry.manifest(repository, left)).toBeNull();
  for (const digest of [a, b, nightly]) expect(await registry.manifest(repository, digest ?? '')).not.toBeNull();
  expect((await client.manifest('others/app', 'incoming-abc'))?.digest).toBe(others.digest);
});

test('an image that is given up loses the name of its commit and goes, once; one that somebody else named stays', async () => {
  const { store, registry } = await outside();
  const [a, b] = await runInTurn(store, registry, ['a', 'b', 'c', 'd']);
  await registry.tag(repository, a ?? expect.unreachable(), '1');
  await registry.tag(repository, b ?? expect.unreachable(), '2');
  const other = await pushed(registry, 'of another tool', 'nightly');
  await registry.tag(repository, other, 'sha-a');
  const given = { state: 'failed' as const, given_up_at: new Date() };
  await store.db.updateTable('artifact').set(given).where('key', 'in', ['a', 'b']).execute();
  const clock = clockAt(Date.now());
  const sweep = sweeping(store, registry, clock);
  const removed: number[] = [];
  for (let look = 0; look < 3; look++) {
    removed.push((await sweep()).files);
    clock.pass(2 * DAY_MS);
  }
  expect(removed).toEqual([0, 1, 0]);
  expect(await registry.manifest(repository, a ?? '')).toBeNull();
  expect((await registry.manifest(repository, 'sha-b'))?.digest).toBe(b);
});

test('what a build under way may deliver stays, and what is needed again begins anew', async () => {
  const { store, registry } = await outside();
  await runInTurn(store, registry, ['a']);
  const left = await pushed(registry, 'delivered twice', 'incoming-abc');
  const clock = clockAt(Date.now());
  const sweep = sweeping(store, registry, clock);
  await sweep();
  clock.pass(2 * DAY_MS);
  await store.db.updateTable('artifact').set({ state: 'building' }).execute();
  expect(await sweep()).toEqual({ files: 0, bytes: 0 });
  await store.db.updateTable('artifact').set({ state: 'built' }).execute();
  expect(await sweep()).toEqual({ files: 0, bytes: 0 }); // it was in use by then: its day begins anew
  clock.pass(2 * DAY_MS);
  expect(await sweep()).toMatchObject({ files: 1 });
  expect(await registry.manifest(repository, left)).toBeNull();
});

test('a build that begins while an image is being removed waits, and its image stays; one that began before stops the removal', async () => {
  const { store, registry } = await outside();
  await runInTurn(store, registry, ['a']);
  const image = await testImage([{ says: 'built twice' }]);
  await pushImage(registry, repository, image, 'incoming-abc');
  const clock = clockAt(Date.now());
  await sweeping(store, registry, clock)();
  clock.pass(2 * DAY_MS);
  const says = (state: 'building' | 'built') => store.db.updateTable('artifact').set({ state }).execute();
  let pushed: Promise<unknown> = Promise.resolve();
  const meeting: Registry = {
    ...registry,
    async deleteManifest(...wanted) {
      await says('building');
      pushed = awaitRemovals(store, [repository]).then(() => pushImage(registry, repository, image, 'incoming-abc'));
      await waitsForLock(store);
      await registry.deleteManifest(...wanted);
    },
  };
  expect(await sweeping(store, meeting, clock)()).toMatchObject({ files: 1 });
  await pushed;
  expect((await registry.manifest(repository, 'incoming-abc'))?.digest).toBe(image.digest);

  await says('built');
  await sweeping(store, registry, clock)();
  clock.pass(2 * DAY_MS);
  const late: Registry = {
    ...registry,
    async manifest(...wanted) {
      await says('building'); // after the sweep saw what is needed, before its last look
      return registry.manifest(...wanted);
    },
  };
  expect(await sweeping(store, late, clock)()).toEqual({ files: 0, bytes: 0 });
});

test('a registry that deletes nothing is told of once', async () => {
  const { store, registry } = await outside({ deletes: false });
  await runInTurn(store, registry, ['a']);
  await pushed(registry, 'its check failed', 'incoming-abc');
  const told: unknown[] = [];
  const clock = clockAt(Date.now());
  const sweep = sweeping(store, registry, clock, { warn: (text: unknown) => void told.push(text) });
  for (let look = 0; look < 3; look++) {
    expect(await sweep()).toEqual({ files: 0, bytes: 0 });
    clock.pass(2 * DAY_MS);
  }
  expect(told).toEqual([expect.stringContaining('deletes nothing')]);
});

async function waitsForLock({ pool }: Store): Promise<void> {
  const waiting = `select from pg_locks where locktype = 'advisory' and not granted
    and database = (select oid from pg_database where datname = current_database())`;
  await expect.poll(async () => (await pool.query(waiting)).rowCount, { timeout: 20_000 }).toBe(1);
}

async function outside(settings: ClosedRegistry = {}) {
  const server = await startClosedRegistry(settings);
  onTestFinished(() => server.close());
  const client = createRegistryClient({ host: server.host });
  return { ...(await world({ keep: 1, registry: below(client, 'team') })), client };
}

async function pushed(registry: Registry, says: string, tag: string) {
  const image = await testImage([{ says }]);
  await pushImage(registry, repository, image, tag);
  return image.digest;
}

function clockAt(startMs: number) {
  let nowMs = startMs;
  return { now: () => nowMs, elapsed: () => nowMs, pass: (ms: number) => void (nowMs += ms) };
}

function sweeping(
  store: Store,
  registry: Registry,
  clock: ReturnType<typeof clockAt>,
  told: { warn(text: unknown): void } = log,
) {
  const content = outsideContent({ store, registry, clock, log: told });
  return () => content.sweep({ kept: keptImages(store.db, registry.host), beforeMs: clock.now() - DAY_MS });
}
