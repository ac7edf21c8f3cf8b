import type { Logger } from 'pino';
import { sql } from 'kysely';

import type { Tx } from '../../store/database.ts';

type Log = Pick<Logger, 'warn'>;

/** Does the work for each, one after the other. A failure is told and ends only the work for its own item. */
export async function attemptEach<T>(
  log: Log,
  items: readonly T[],
  what: string,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  for (const item of items) {
    try {
      await work(item);
    } catch (error) {
      log.warn({ err: error, item }, `${what} failed and is tried again later`);
    }
  }
}

/** As `attemptEach`, in one transaction: what failed for one item is undone, what was done for the others stays. */
export function attemptEachIn<T>(
  tx: Tx,
  log: Log,
  items: readonly T[],
  what: string,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  return attemptEach(log, items, what, async (item) => {
    await sql`savepoint attempt`.execute(tx);
    try {
      await work(item);
    } catch (error) {
      await sql`rollback to savepoint attempt`.execute(tx);
      throw error;
    }
    await sql`release savepoint attempt`.execute(tx);
  });
}
