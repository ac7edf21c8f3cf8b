import { beforeEach, expect, test } from 'vitest';

import type { Store } from '../store/database.ts';
import { testStore } from '../store/testing.ts';
import { enterLane, inLane, leaveLane, takeLane } from './lane-store.ts';

const ENVIRONMENT = 'env_1';
let store: Store;

beforeEach(async () => {
  store = await testStore();
  await store.db.insertInto('project').values({ id: 'prj_1', name: 'shop' }).execute();
  await store.db
    .insertInto('environment')
    .values({ id: ENVIRONMENT, project_id: 'prj_1', name: 'qa', slug: 'qa-1', position: 0, definition: '{}' })
    .execute();
});

test('of many that want a lane at once, one enters', async () => {
  const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => enterLane(store.db, ENVIRONMENT, `p${i}`)));
  const entered = answers.filter(({ kind }) => kind === 'entered');
  expect(entered).toHaveLength(1);
});

test('its holder enters again with a higher token; the one that was fenced is thrown out', async () => {
  let begun = (): void => undefined;
  const working = new Promise<void>((resolve) => (begun = resolve));
  const first = inLane(
    { store, environmentId: ENVIRONMENT, holder: 'p1', signal: new AbortController().signal, ttlMs: 300 },
    (signal) =>
      new Promise<void>((_, reject) => {
        begun();
        signal.addEventListener('abort', () => reject(signal.reason));
      }),
  );
  await working;
  const again = await enterLane(store.db, ENVIRONMENT, 'p1');
  expect(again).toEqual({ kind: 'entered', token: 2n });
  await expect(first).rejects.toMatchObject({ code: 'lane.lost' });
});

test('a lane is free when its holder left it, or was not heard of for its time', async () => {
  await enterLane(store.db, ENVIRONMENT, 'p1');
  expect(await enterLane(store.db, ENVIRONMENT, 'p2')).toEqual({ kind: 'taken', holder: 'p1' });
  await leaveLane(store.db, ENVIRONMENT, 'p2');
  expect(await enterLane(store.db, ENVIRONMENT, 'p2')).toEqual({ kind: 'taken', holder: 'p1' });
  await leaveLane(store.db, ENVIRONMENT, 'p1');
  expect(await enterLane(store.db, ENVIRONMENT, 'p2', 1)).toEqual({ kind: 'entered', token: 2n });
  await expect.poll(() => enterLane(store.db, ENVIRONMENT, 'p3')).toEqual({ kind: 'entered', token: 3n });
});

test('a lane that is taken from its holder gives way to whoever comes later, with a higher token still', async () => {
  await enterLane(store.db, ENVIRONMENT, 'p1');
  expect(await takeLane(store.db, ENVIRONMENT, 'the end')).toBe(2n);
  await expect.poll(() => enterLane(store.db, ENVIRONMENT, 'p2')).toEqual({ kind: 'entered', token: 3n });
});

test('a lane stays taken while its work runs, however long that is', async () => {
  let done = (): void => undefined;
  const finish = new Promise<void>((resolve) => (done = resolve));
  let begun = (): void => undefined;
  const working = new Promise<void>((resolve) => (begun = resolve));
  const work = inLane(
    { store, environmentId: ENVIRONMENT, holder: 'p1', signal: new AbortController().signal, ttlMs: 12_000 },
    () => {
      begun();
      return finish;
    },
  );
  await working;
  const until = async (): Promise<number> =>
    (await store.db.selectFrom('lane').select('until').executeTakeFirstOrThrow()).until?.getTime() ?? 0;
  const first = await until();
  await expect.poll(until).toBeGreaterThan(first); // it is renewed, after a third of its time
  expect(await enterLane(store.db, ENVIRONMENT, 'p2')).toEqual({ kind: 'taken', holder: 'p1' });
  done();
  await work;
});

test('a lane lapses when its work was told to end and does not hear it', async () => {
  let done = (): void => undefined;
  const finish = new Promise<void>((resolve) => (done = resolve));
  const ending = new AbortController();
  let begun = (): void => undefined;
  const working = new Promise<void>((resolve) => (begun = resolve));
  const work = inLane({ store, environmentId: ENVIRONMENT, holder: 'p1', signal: ending.signal, ttlMs: 300 }, () => {
    begun();
    return finish;
  });
  await working;
  ending.abort();
  await expect.poll(() => enterLane(store.db, ENVIRONMENT, 'p2', 60_000)).toMatchObject({ kind: 'entered' });
  done();
  await work;
  expect(await enterLane(store.db, ENVIRONMENT, 'p3')).toEqual({ kind: 'taken', holder: 'p2' });
});
