import { newId } from '../lib/ids.ts';
import type { Sql } from '../store/database.ts';

export interface Approval {
  readonly by: string;
  readonly verdict: 'approved' | 'rejected';
  readonly comment: string | null;
  /** What the release would run under when it was given, as a hash; null of one from before that was kept. */
  readonly circumstances: string | null;
  readonly at: Date;
}

/** A voice stays for good as it was given; said again by the same person, the newest counts. */
export async function recordApproval(db: Sql, promotionId: string, voice: Omit<Approval, 'at'>): Promise<void> {
  await db
    .insertInto('approval')
    .values({
      id: newId('apr'),
      promotion_id: promotionId,
      by_user: voice.by,
      verdict: voice.verdict,
      comment: voice.comment,
      circumstances: voice.circumstances,
    })
    .execute();
}

/** The last word of each person, the oldest first. @param at as it was at that instant; else now */
export async function approvalsOf(db: Sql, promotionId: string, at?: Date): Promise<Approval[]> {
  const last = db
    .selectFrom('approval')
    .selectAll()
    .distinctOn('by_user')
    .where('promotion_id', '=', promotionId)
    .$if(at !== undefined, (query) => query.where('at', '<=', at ?? new Date()))
    .orderBy('by_user')
    .orderBy('at', 'desc')
    .orderBy('id', 'desc');
  // ordered there, where an instant has microseconds: two voices may come in one millisecond
  const rows = await db.selectFrom(last.as('last')).selectAll().orderBy('at').orderBy('id').execute();
  return rows.map((row) => ({
    by: row.by_user,
    verdict: row.verdict,
    comment: row.comment,
    circumstances: row.circumstances,
    at: row.at,
  }));
}
