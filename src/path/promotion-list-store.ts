import { sql } from 'kysely';

import type { Sql } from '../store/database.ts';
import type { PromotionDetail } from './promotion.ts';
import { type Promotion, promotionOf } from './promotion-store.ts';

/** Those under way, the newest first. */
export async function openPromotions(db: Sql, environmentIds: readonly string[]): Promise<Promotion[]> {
  if (environmentIds.length === 0) return [];
  const rows = await db
    .selectFrom('promotion')
    .selectAll()
    .where('environment_id', 'in', [...environmentIds])
    .where('ended_at', 'is', null)
    .orderBy('number', 'desc')
    .execute();
  return rows.map(promotionOf);
}

export async function promotionsOf(
  db: Sql,
  filter: { projectId: string; environmentId?: string; releaseId?: string; before?: number },
  limit: number,
): Promise<Promotion[]> {
  let query = db.selectFrom('promotion').selectAll().where('project_id', '=', filter.projectId);
  if (filter.environmentId !== undefined) query = query.where('environment_id', '=', filter.environmentId);
  if (filter.releaseId !== undefined) query = query.where('release_id', '=', filter.releaseId);
  if (filter.before !== undefined) query = query.where('number', '<', filter.before);
  const rows = await query.orderBy('number', 'desc').limit(limit).execute();
  return rows.map(promotionOf);
}

/** The newest ended promotion of each environment. */
export async function lastEnded(db: Sql, environmentIds: readonly string[]): Promise<Promotion[]> {
  if (environmentIds.length === 0) return [];
  const rows = await db
    .selectFrom('environment')
    .innerJoinLateral(
      (from) =>
        from
          .selectFrom('promotion')
          .selectAll('promotion')
          .whereRef('promotion.environment_id', '=', 'environment.id')
          .where('promotion.ended_at', 'is not', null)
          .where('promotion.state', '<>', 'superseded')
          .orderBy('promotion.ended_at', 'desc')
          .limit(1)
          .as('last'),
      (join) => join.onTrue(),
    )
    .selectAll('last')
    .where('environment.id', 'in', [...environmentIds])
    .orderBy('environment.id')
    .execute();
  return rows.map(promotionOf);
}

/**
 * The newest promotion that touched the target after an instant and did not see it through: what is there is its release,
 * or a part of it, whatever was recorded as live before.
 */
export async function leftStanding(db: Sql, environmentId: string, since: Date): Promise<Promotion | null> {
  const row = await db
    .selectFrom('promotion')
    .selectAll()
    .where('environment_id', '=', environmentId)
    .where('ended_at', '>', since)
    .where('state', 'in', ['failed', 'cancelled', 'refused'])
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('promotion_event')
          .select('promotion_event.id')
          .whereRef('promotion_event.promotion_id', '=', 'promotion.id')
          .where('to_state', '=', 'deploying'),
      ),
    )
    .orderBy('ended_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? null : promotionOf(row);
}

/** The newest promotion by which a release came to live in an environment; a rollback brings back what came by one. */
export async function promotionThatBrought(db: Sql, environmentId: string, releaseId: string): Promise<string | null> {
  const row = await db
    .selectFrom('promotion')
    .select('id')
    .where('environment_id', '=', environmentId)
    .where('release_id', '=', releaseId)
    .where('kind', '=', 'promotion')
    .where('state', '=', 'live')
    .orderBy('number', 'desc')
    .executeTakeFirst();
  return row?.id ?? null;
}

/** Waiting ones whose time has come: found by index, so the sweep costs nothing when nothing is due. */
export async function duePromotions(db: Sql, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('promotion')
    .select('id')
    .where('ended_at', 'is', null)
    .where('state', '=', 'waiting')
    .where('wake_at', '<=', sql<Date>`clock_timestamp()`)
    .orderBy('wake_at')
    .limit(limit)
    .execute();
  return rows.map(({ id }) => id);
}

/**
 * Why these artifacts are barred from coming back by themselves: they failed here under the same circumstances, and nobody
 * brought them in since.
 */
export async function failureHere(
  db: Sql,
  environmentId: string,
  fingerprint: string,
  circumstances: string,
): Promise<{ promotion: number; what: string } | null> {
  const row = await db
    .selectFrom('promotion')
    .innerJoin('release', 'release.id', 'promotion.release_id')
    .select(['promotion.number', 'promotion.state', 'promotion.detail'])
    .where('promotion.environment_id', '=', environmentId)
    .where('release.fingerprint', '=', fingerprint)
    .where((eb) => eb.or([eb('promotion.state', '=', 'live'), eb('promotion.failed_under', '=', circumstances)]))
    .orderBy('promotion.ended_at', 'desc')
    .executeTakeFirst();
  if (row === undefined || row.state === 'live') return null;
  const detail = row.detail as PromotionDetail;
  return { promotion: row.number, what: detail.problem?.what ?? 'it failed.' };
}
