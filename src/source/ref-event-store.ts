import { sql } from 'kysely';

import { newId } from '../lib/ids.ts';
import type { Sql } from '../store/database.ts';

/**
 * Notes a commit once more under a ref, though nothing moved, so that it can be taken in anew. What was still to be taken
 * in of it is done with that.
 * @param refreshedBy who moved the pins of base images for which that is
 * @returns the event
 */
export async function seeAgain(
  db: Sql,
  { id: repositoryId, ref, commit }: { readonly id: string; readonly ref: string; readonly commit: string },
  now: number,
  refreshedBy: string | null = null,
): Promise<string> {
  const id = newId('rev', now);
  await db
    .updateTable('ref_event')
    .set({ handled_at: sql<Date>`clock_timestamp()` })
    .where('repository_id', '=', repositoryId)
    .where('ref', '=', ref)
    .where('after_sha', '=', commit)
    .where('handled_at', 'is', null)
    .execute();
  await db
    .insertInto('ref_event')
    .values({
      id,
      repository_id: repositoryId,
      ref,
      kind: refreshedBy === null ? 'moved' : 'refreshed',
      before_sha: commit,
      after_sha: commit,
      seen_at: new Date(now),
      by_user: refreshedBy,
    })
    .execute();
  return id;
}

/**
 * Events that are not handled and not quite fresh: somebody should be at work on each, however old it is. Found by an index
 * on those alone, so it costs what is open and not what was; of more than can be looked at each gets its turn by
 * chance. @returns the oldest first
 */
export async function eventsInWork(db: Sql, limit: number): Promise<{ id: string; seenAtMs: number }[]> {
  const rows = await db
    .selectFrom('ref_event')
    .select(['id', 'seen_at'])
    .where('handled_at', 'is', null)
    .where('seen_at', '<', sql<Date>`clock_timestamp() - interval '15 seconds'`)
    .orderBy(sql`random()`)
    .limit(limit)
    .execute();
  return rows
    .map(({ id, seen_at: at }) => ({ id, seenAtMs: at.getTime() }))
    .toSorted((one, other) => one.seenAtMs - other.seenAtMs);
}

/** Where a branch was seen to point at an instant and before, the newest first. */
export async function headsUntil(
  db: Sql,
  repositoryId: string,
  ref: string,
  at: Date,
  limit: number,
): Promise<string[]> {
  const rows = await db
    .selectFrom('ref_event')
    .select('after_sha')
    .where('repository_id', '=', repositoryId)
    .where('ref', '=', ref)
    .where('seen_at', '<=', at)
    .orderBy('seen_at', 'desc')
    .limit(limit)
    .execute();
  return rows.flatMap(({ after_sha }) => after_sha ?? []);
}
