import { expect, test } from 'vitest';

import { followEvents, lastEventId, readEvents, recordEvent } from './event-store.ts';
import { testStore } from './testing.ts';

test('a transaction that began first and ends last is not missed by who read in between', async () => {
  const store = await testStore();
  let commit = (): void => undefined;
  let written = (): void => undefined;
  const isWritten = new Promise<void>((resolve) => (written = resolve));
  const slow = store.transaction(async (tx) => {
    await recordEvent(tx, { kind: 'slow', subject: 's' });
    written();
    await new Promise<void>((resolve) => (commit = resolve));
  });
  await isWritten;
  await store.transaction((tx) => recordEvent(tx, { kind: 'fast', subject: 's' }));
  const seen = await readEvents(store.db, 0);
  expect(seen.map(({ kind }) => kind)).toEqual(['fast']);
  commit();
  await slow;
  expect((await readEvents(store.db, seen.at(-1)?.id ?? 0)).map(({ kind }) => kind)).toEqual(['slow']);
});

test('who follows sees every event once and in order, from many writers at once', async () => {
  const store = await testStore();
  const stop = new AbortController();
  await recordEvent(store.db, { kind: 'before', subject: 's' });
  const events = followEvents(store, await lastEventId(store.db), stop.signal);
  const writing = Promise.all(
    Array.from({ length: 8 }, async (_, writer) => {
      for (let n = 0; n < 25; n++) {
        await store.transaction((tx) => recordEvent(tx, { kind: 'count', subject: String(writer), data: { n } }));
      }
    }),
  );
  const seen = [];
  for await (const event of events) {
    seen.push(event);
    if (seen.length === 200) stop.abort();
  }
  await writing;
  expect(seen.map(({ id }) => id)).toEqual(seen.map(({ id }) => id).sort((a, b) => a - b));
  for (let writer = 0; writer < 8; writer++) {
    const own = seen.filter(({ subject }) => subject === String(writer)).map(({ data }) => data['n']);
    expect(own).toEqual(Array.from({ length: 25 }, (_, n) => n));
  }
});

test('who follows and is told to stop, stops', async () => {
  const store = await testStore();
  const stop = new AbortController();
  const events = followEvents(store, 0, stop.signal);
  const next = events.next();
  stop.abort();
  expect(await next).toEqual({ done: true, value: undefined });
});
