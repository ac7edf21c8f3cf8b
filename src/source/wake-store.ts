import { sql } from 'kysely';

import type { Sql } from '../store/database.ts';
import { WAKE_CHANNEL } from './poll-store.ts';

/** Polls the repository now. Asked again before that poll began, it changes nothing. @returns false when there is none */
export async function wakeRepository(db: Sql, repositoryId: string, now: number): Promise<boolean> {
  const at = new Date(now);
  const { numUpdatedRows } = await db
    .updateTable('repository')
    .set({ woken_at: at, next_poll_at: sql<Date>`least(next_poll_at, ${at})` })
    .where('id', '=', repositoryId)
    .where('left_at', 'is', null)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) return false;
  await sql`select pg_notify(${WAKE_CHANNEL}, ${repositoryId})`.execute(db);
  return true;
}

/** The reference to the secret that signs webhooks of a repository; `null` when it has none or is not known. */
export async function webhookSecretOf(db: Sql, repositoryId: string): Promise<string | null> {
  const row = await db
    .selectFrom('repository')
    .select('webhook_secret')
    .where('id', '=', repositoryId)
    .where('left_at', 'is', null)
    .executeTakeFirst();
  return row?.webhook_secret ?? null;
}

export interface Delivery {
  readonly host: string;
  readonly delivery: string;
  readonly repositoryId: string;
}

/** @returns false when this delivery came before */
export async function recordDelivery(
  db: Sql,
  { host, delivery, repositoryId }: Delivery,
  now: number,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('webhook_delivery')
    .values({ host, delivery, repository_id: repositoryId, received_at: new Date(now) })
    .onConflict((row) => row.doNothing())
    .executeTakeFirst();
  return numInsertedOrUpdatedRows === 1n;
}

/** Deliveries are kept only as long as a signature may be repeated; for a sweep. */
export async function forgetDeliveries(db: Sql, before: number): Promise<void> {
  await db.deleteFrom('webhook_delivery').where('received_at', '<', new Date(before)).execute();
}
