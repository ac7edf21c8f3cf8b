import { sql } from 'kysely';

import type { Problem } from '../lib/error.ts';
import { json, type Sql } from '../store/database.ts';

/** Artifacts that are said to be built right now, and have been for a while. What waits for its base, or for another CI, is not. */
export async function artifactsInWork(db: Sql, limit: number): Promise<{ key: string; attempt: number }[]> {
  return db
    .selectFrom('artifact')
    .select(['key', 'attempt'])
    .where('state', '=', 'building')
    .where('report_until', 'is', null)
    .where(
      sql<boolean>`not exists (
        select from jsonb_each_text(artifact.inputs -> 'parents') base join artifact parent on parent.key = base.value
        where parent.state = 'building')`,
    )
    .where('requested_at', '<', sql<Date>`clock_timestamp() - interval '15 seconds'`)
    .orderBy('requested_at')
    .limit(limit)
    .execute();
}

/** @returns false when the build has ended after all, or was asked for anew */
export async function recordBuildLost(db: Sql, key: string, attempt: number, problem: Problem): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('artifact')
    .set({ state: 'failed', problem: json(problem), finished_at: new Date() })
    .where('key', '=', key)
    .where('attempt', '=', attempt)
    .where('state', '=', 'building')
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}
