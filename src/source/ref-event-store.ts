import { sql } from 'kysely';

import { newId } from '../lib/ids.ts';
import type { Sql } from '../store/database.ts';

/** Notes a commit once more under a ref, though nothing moved, so that it can be taken in anew. @returns the event */
export async function seeAgain(
  db: Sql,
  repositoryId: string,
  ref: string,
  commit: string,
  now: number,
): Promise<string> {
  const id = newId('rev', now);
  await db
    .insertInto('ref_event')
    .values({
      id,
      repository_id: repositoryId,
      ref,
      kind: 'moved',
      before_sha: commit,
      after_sha: commit,
      seen_at: new Date(now),
    })
    .execute();
  return id;
}

/** Notes that the head of a branch is to be planned anew, for pins of base images moved. @returns the event */
export async function seeRefreshed(
  db: Sql,
  repositoryId: string,
  ref: string,
  commit: string,
  { by, now }: { readonly by: string; readonly now: number },
): Promise<string> {
  const id = newId('rev', now);
  await db
    .insertInto('ref_event')
    .values({
      id,
      repository_id: repositoryId,
      ref,
      kind: 'refreshed',
      before_sha: commit,
      after_sha: commit,
      seen_at: new Date(now),
      by_user: by,
    })
    .execute();
  return id;
}

/**
 * Events that are not handled and not quite fresh: somebody should be at work on each, however old it is. Found by an index
 * on those alone, so it costs what is open and not what was.
 */
export async function eventsInWork(db: Sql): Promise<string[]> {
  const rows = await db
    .selectFrom('ref_event')
    .select('id')
    .where('handled_at', 'is', null)
    .where('seen_at', '<', sql<Date>`clock_timestamp() - interval '15 seconds'`)
    .orderBy('seen_at')
    .execute();
  return rows.map(({ id }) => id);
}
