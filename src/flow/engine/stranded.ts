import { sql } from 'kysely';

import type { Store } from '../../store/database.ts';
import { ENGINE_VERSION } from './identity.ts';

export interface Stranded {
  readonly id: string;
  readonly workflow: string;
  readonly reason: string;
}

/** Work that no worker of the present version will do, or that a living worker holds without any progress. */
export async function findStranded(store: Store, olderThanMs: number): Promise<Stranded[]> {
  const { rows } = await sql<{
    id: string;
    workflow: string;
    version: string | null;
    status: string;
    queue: string | null;
  }>`
    select w.workflow_uuid as id, w.name as workflow, w.application_version as version, w.status, w.queue_name as queue
    from dbos.workflow_status w
    where w.status in ('PENDING', 'ENQUEUED')
      and greatest(w.updated_at, w.created_at, coalesce(
        (select max(o.completed_at_epoch_ms) from dbos.operation_outputs o where o.workflow_uuid = w.workflow_uuid), 0))
        <= extract(epoch from clock_timestamp()) * 1000 - ${olderThanMs}
    order by w.created_at limit 100`.execute(store.db);
  return rows.map(({ id, workflow, version, status, queue }) => ({
    id,
    workflow,
    reason: reasonOf({ version, status, queue }),
  }));
}

function reasonOf({
  version,
  status,
  queue,
}: {
  version: string | null;
  status: string;
  queue: string | null;
}): string {
  if (version !== null && version !== ENGINE_VERSION) {
    return `it was begun by engine version ${version}, and only workers of that version would go on with it`;
  }
  if (status === 'ENQUEUED') return `no worker has taken it from the queue "${queue ?? ''}"`;
  return 'a worker holds it, and no step of it has ended since';
}
