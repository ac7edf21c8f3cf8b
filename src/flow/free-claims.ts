import { sql } from 'kysely';

import type { Sql } from '../store/database.ts';

/**
 * For a server that has its store to itself: what the one before it was killed with is free at once, and not only when the
 * claim lapses. What waits because a receiver asked for patience goes on waiting.
 */
export async function freeClaims(db: Sql): Promise<void> {
  await db.updateTable('repository').set({ lease_until: null }).where('lease_until', 'is not', null).execute();
  await sql`update attested_image set due_at = clock_timestamp() where due_at > clock_timestamp()`.execute(db);
}
