import { AsyncLocalStorage } from 'node:async_hooks';

import { sql } from 'kysely';

import { json, type Sql, type Store, type Tx } from './database.ts';

const current = new AsyncLocalStorage<string>();

/** Runs `work` as the operation of this id, for the `once` in it; without an id as if it were never asked again. */
export function underOperation<T>(id: string | null, work: () => T): T {
  return id === null ? work() : current.run(id, work);
}

/**
 * A transaction that happens once in an operation, however often and wherever that is asked for: whoever comes second
 * waits for the first, and gets what that made. An operation has one of them, and what it makes is plain JSON.
 */
export async function once<T>(store: Pick<Store, 'transaction'>, work: (tx: Tx) => Promise<T>): Promise<T> {
  const id = current.getStore();
  if (id === undefined) return store.transaction(work);
  return store.transaction(async (tx) => {
    const first = await tx
      .insertInto('operation')
      .values({ id })
      .onConflict((conflict) => conflict.column('id').doNothing())
      .executeTakeFirst();
    if (first.numInsertedOrUpdatedRows === 0n) {
      const { made } = await tx.selectFrom('operation').select('made').where('id', '=', id).executeTakeFirstOrThrow();
      return made as T; // written below, by the same work
    }
    const made = await work(tx);
    await tx
      .updateTable('operation')
      .set({ made: json(made ?? null) })
      .where('id', '=', id)
      .execute();
    return made;
  });
}

/** True when the transaction of that operation is over, and well. */
export async function wasDone(db: Sql, id: string): Promise<boolean> {
  const row = await db.selectFrom('operation').select('id').where('id', '=', id).executeTakeFirst();
  return row !== undefined;
}

/** Forgets operations of which nobody will ask again. */
export async function forgetOperations(db: Sql, olderThanMs: number): Promise<void> {
  await sql`delete from operation where at < clock_timestamp() - ${olderThanMs} * interval '1 ms'`.execute(db);
}
