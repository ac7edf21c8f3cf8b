import { sql } from 'kysely';

import type { Sql } from '../store/database.ts';

/** Repositories of a project (all, or some) are watched no more: no poll begins, one under way is not written down, no event waits. */
export async function leaveRepositories(db: Sql, projectId: string, only?: readonly string[]): Promise<void> {
  const left = await db
    .updateTable('repository')
    .set({ left_at: sql<Date>`clock_timestamp()`, lease_until: null, woken_at: null })
    .where('project_id', '=', projectId)
    .where('left_at', 'is', null)
    .$if(only !== undefined, (query) => query.where('id', 'in', [...(only ?? [])]))
    .returning('id')
    .execute();
  for (const { id } of left)
    await db
      .updateTable('ref_event')
      .set({ handled_at: sql<Date>`clock_timestamp()` })
      .where('repository_id', '=', id)
      .where('handled_at', 'is', null)
      .execute();
}
