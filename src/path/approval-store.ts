import { sql } from 'kysely';

import { newId } from '../lib/ids.ts';
import type { Sql } from '../store/database.ts';

export interface Approval {
  readonly by: string;
  readonly verdict: 'approved' | 'rejected';
  readonly comment: string | null;
  readonly at: Date;
}

/** One voice per person: said again, the last word counts. */
export async function recordApproval(db: Sql, promotionId: string, voice: Omit<Approval, 'at'>): Promise<void> {
  await db
    .insertInto('approval')
    .values({
      id: newId('apr'),
      promotion_id: promotionId,
      by_user: voice.by,
      verdict: voice.verdict,
      comment: voice.comment,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['promotion_id', 'by_user'])
        .doUpdateSet({ verdict: voice.verdict, comment: voice.comment, at: sql<Date>`clock_timestamp()` }),
    )
    .execute();
}

export async function approvalsOf(db: Sql, promotionId: string): Promise<Approval[]> {
  const rows = await db
    .selectFrom('approval')
    .selectAll()
    .where('promotion_id', '=', promotionId)
    .orderBy('at')
    .execute();
  return rows.map((row) => ({
    by: row.by_user,
    verdict: row.verdict,
    comment: row.comment,
    at: row.at,
  }));
}
