import type { DBOSClient } from '@dbos-inc/dbos-sdk';
import { sql } from 'kysely';

import type { Store } from '../../store/database.ts';

const BATCH = 500;

/** Deletes the engine's rows of workflows that ended long ago; what they did is told by our own tables. @returns how many */
export async function deleteHistory(store: Store, client: DBOSClient, olderThanMs: number): Promise<number> {
  for (let deleted = 0; ;) {
    const { rows } = await sql<{ id: string }>`select workflow_uuid as id from dbos.workflow_status
      where status in ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
        and updated_at <= extract(epoch from clock_timestamp()) * 1000 - ${olderThanMs}
      limit ${BATCH}`.execute(store.db);
    if (rows.length === 0) return deleted;
    await client.deleteWorkflows(rows.map(({ id }) => id));
    await sql`delete from dbos.transaction_completion where workflow_id = any(${rows.map(({ id }) => id)})`.execute(
      store.db,
    );
    deleted += rows.length;
  }
}
