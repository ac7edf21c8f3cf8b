import { sql } from 'kysely';

import type { Store } from '../../store/database.ts';

export interface LostClaimParts {
  readonly store: Store;
  readonly executorId: string;
  /** Whether this process is at work with it. */
  readonly isRunning: (workflowId: string) => boolean;
}

/** Between two looks: a claim that was written a moment ago is not begun yet. */
export const LOOK_FOR_LOST_MS = 5_000;

interface Claim {
  readonly id: string;
  /** Another for each claim. */
  readonly owner: string | null;
}

/**
 * Finds work that this process has claimed and does not do: the answer to the claim was lost, as when Postgres is restarted
 * between a commit and its answer. A worker that lives is asked for nothing, so nobody would ever do it. Whoever still
 * begins it later owns it no more, as when another worker takes it over.
 * @returns looks, and gives back to its queue what was seen so the last time already: the ids
 */
export function lostClaims({ store, executorId, isRunning }: LostClaimParts): () => Promise<string[]> {
  let suspects: readonly Claim[] = [];
  return async () => {
    const before = suspects;
    const { rows } = await sql<Claim>`select workflow_uuid as id, owner_xid as owner from dbos.workflow_status
      where status = 'PENDING' and executor_id = ${executorId} and queue_name is not null`.execute(store.db);
    suspects = rows.filter(({ id }) => !isRunning(id));
    const lost = suspects.filter(({ id, owner }) => before.some((one) => one.id === id && one.owner === owner));
    const given: string[] = [];
    for (const { id, owner } of lost) {
      const { numAffectedRows } = await sql`update dbos.workflow_status
        set status = 'ENQUEUED', started_at_epoch_ms = null, owner_xid = null,
          updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
        where workflow_uuid = ${id} and status = 'PENDING' and executor_id = ${executorId}
          and owner_xid is not distinct from ${owner}`.execute(store.db);
      if (numAffectedRows === 1n) given.push(id);
    }
    return given;
  };
}
