import { readFile } from 'node:fs/promises';

import { expect, test } from 'vitest';

import { clientOf, isDuplicate, isTransient, json, openStore, requireAnswer } from './database.ts';
import { testStore } from './testing.ts';

test('a transaction that throws leaves nothing', async () => {
  const store = await testStore();
  const work = store.transaction(async (tx) => {
    await tx.insertInto('project').values({ id: 'prj_1', name: 'shop' }).execute();
    throw new Error('changed my mind');
  });
  await expect(work).rejects.toThrow('changed my mind');
  expect(await store.db.selectFrom('project').selectAll().execute()).toEqual([]);
});

test('what is written by the client under a transaction commits with it', async () => {
  const store = await testStore();
  await store.transaction(async (tx) => {
    await tx.insertInto('project').values({ id: 'prj_1', name: 'shop' }).execute();
    await clientOf(tx).query(`insert into project (id, name) values ('prj_2', 'bakery')`);
  });
  expect(await store.db.selectFrom('project').select('id').orderBy('id').execute()).toHaveLength(2);
});

test('a bigint is read as a number, a timestamp as a date, json as its value', async () => {
  const store = await testStore();
  const row = await store.db
    .insertInto('event')
    .values({ kind: 'ref.moved', subject: 'main', data: json([1, { two: 2 }]) })
    .returningAll()
    .executeTakeFirstOrThrow();
  expect(row).toMatchObject({ id: 1, data: [1, { two: 2 }] });
  expect(row.at).toBeInstanceOf(Date);
});

test('words that Postgres would not take are written with a replacement character, all others as they are', async () => {
  const store = await testStore();
  const words = { 'a\0': ['\0', '\ud83d', '\ude00 \ud83d\ude00', '\\u0000 \\\\ud83d "\u0001"'] };
  const row = await store.db
    .insertInto('event')
    .values({ kind: 'ref.moved', subject: 'main', data: json(words) })
    .returning('data')
    .executeTakeFirstOrThrow();
  expect(row.data).toEqual({
    'a\uFFFD': ['\uFFFD', '\uFFFD', '\uFFFD \ud83d\ude00', '\\u0000 \\\\ud83d "\u0001"'],
  });
});

test('a server that is not there is named as such', async () => {
  await expect(openStore('postgresql://towpath@127.0.0.1:1/none')).rejects.toMatchObject({ code: 'store.unreachable' });
});

test('whether the server answers is known in time, also when no connection is free', async () => {
  const store = await testStore();
  await requireAnswer(store, 60_000);
  const taken = await Promise.all(Array.from({ length: 10 }, () => store.pool.connect()));
  await expect(requireAnswer(store, 10)).rejects.toMatchObject({ code: 'store.unreachable' });
  for (const client of taken) client.release();
  await requireAnswer(store, 60_000);
});

test('errors are told apart: a duplicate is final, a lost connection is worth another try', async () => {
  const store = await testStore();
  const insert = () => store.db.insertInto('project').values({ id: 'prj_1', name: 'shop' }).execute();
  await insert();
  const duplicate = await insert().catch((error: unknown) => error);
  expect([isDuplicate(duplicate), isDuplicate(duplicate, 'project_pkey'), isTransient(duplicate)]).toEqual([
    true,
    true,
    false,
  ]);
  const lost = await store
    .transaction((tx) => clientOf(tx).query('select pg_terminate_backend(pg_backend_pid())'))
    .catch((error: unknown) => error);
  expect(isTransient(lost)).toBe(true);
  const noFile = await readFile('/no/such/file').catch((error: unknown) => error);
  expect(isTransient(noFile)).toBe(false);
  expect(await store.db.selectFrom('project').select('id').execute()).toHaveLength(1);
});

test('a listener hears what is notified, and looks again after its connection was lost', async () => {
  const store = await testStore();
  const heard: string[] = [];
  let wake = (): void => undefined;
  const heardAll = async (...wanted: string[]): Promise<void> => {
    while (!wanted.every((payload) => heard.includes(payload))) await new Promise<void>((resolve) => (wake = resolve));
  };
  const stop = await store.listen('towpath_test', (payload) => {
    heard.push(payload);
    wake();
  });
  await store.pool.query(`select pg_notify('towpath_test', 'one')`);
  await heardAll('one');
  await store.pool.query(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and query ilike 'listen%'`);
  await heardAll('');
  await store.pool.query(`select pg_notify('towpath_test', 'two')`);
  await heardAll('two');
  await stop();
});
