import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import type { Store, Tx } from './database.ts';
import { forgetOperations, once, underOperation, wasDone } from './once.ts';
import { testStore } from './testing.ts';

let store: Store;
beforeAll(async () => {
  store = await testStore();
});
afterAll(() => store.close());

/** Makes a row that can be counted. @returns its id */
async function make(tx: Tx, kind: string): Promise<{ event: number }> {
  const row = await tx.insertInto('event').values({ kind, subject: 's' }).returning('id').executeTakeFirstOrThrow();
  return { event: row.id };
}

async function count(kind: string): Promise<number> {
  return (await store.db.selectFrom('event').select('id').where('kind', '=', kind).execute()).length;
}

test('of many who ask at once, and of those who ask later, one does it and all get what it made', async () => {
  const ask = () => underOperation('many', () => once(store, (tx) => make(tx, 'many')));
  const made = await Promise.all(Array.from({ length: 6 }, ask));
  made.push(await ask());
  expect(new Set(made.map(({ event }) => event)).size).toBe(1);
  expect(await count('many')).toBe(1);
});

test('what was rolled back was not done, and is done by the next', async () => {
  const broken = () =>
    underOperation('broken', () =>
      once(store, async (tx) => {
        await make(tx, 'broken');
        throw new Error('no');
      }),
    );
  await expect(broken()).rejects.toThrow('no');
  expect(await wasDone(store.db, 'broken')).toBe(false);
  await underOperation('broken', () => once(store, (tx) => make(tx, 'broken')));
  expect(await wasDone(store.db, 'broken')).toBe(true);
  expect(await count('broken')).toBe(1);
});

test('what no operation asks for is done each time, and a forgotten operation anew', async () => {
  for (const id of [null, null, 'old', 'old']) await underOperation(id, () => once(store, (tx) => make(tx, 'each')));
  expect(await count('each')).toBe(3);
  await forgetOperations(store.db, 60_000);
  expect(await wasDone(store.db, 'old')).toBe(true);
  await forgetOperations(store.db, -60_000);
  expect(await wasDone(store.db, 'old')).toBe(false);
});

test('a repetition gets the very value, whatever JSON it is', async () => {
  let number = 0;
  await fc.assert(
    fc.asyncProperty(fc.jsonValue({ maxDepth: 2 }), async (value) => {
      const id = `value ${number++}`;
      const ask = (answer: unknown) => underOperation(id, () => once(store, async () => answer));
      const first = await ask(value);
      expect(await ask('another')).toEqual(JSON.parse(JSON.stringify(first)));
    }),
    cases(30),
  );
});
