import { sql } from 'kysely';

import type { Digest } from '../lib/digest.ts';
import type { Sql } from '../store/database.ts';

export interface LiveRecord {
  readonly environmentId: string;
  readonly releaseId: string;
  readonly promotionId: string;
  readonly services: readonly {
    readonly service: string;
    readonly digest: Digest;
    readonly url: string | null;
    readonly observed?: boolean;
  }[];
}

/** Writes down what runs now: the present release, its deployments, and the turn of tenures. Safe to repeat. */
export async function recordLive(db: Sql, live: LiveRecord): Promise<void> {
  const now = sql<Date>`clock_timestamp()`; // soaks are measured by this clock alone
  await db
    .updateTable('tenure')
    .set({ ended_at: now })
    .where('environment_id', '=', live.environmentId)
    .where('ended_at', 'is', null)
    .where('promotion_id', '<>', live.promotionId)
    .execute();
  await db
    .insertInto('tenure')
    .values({
      promotion_id: live.promotionId,
      environment_id: live.environmentId,
      release_id: live.releaseId,
      began_at: now,
    })
    .onConflict((conflict) => conflict.column('promotion_id').doNothing())
    .execute();
  await db
    .updateTable('environment')
    .set({ current_release_id: live.releaseId, current_promotion_id: live.promotionId, current_since: now })
    .where('id', '=', live.environmentId)
    .execute();
  await db
    .deleteFrom('deployment')
    .where('environment_id', '=', live.environmentId)
    .where('service', 'not in', live.services.length === 0 ? [''] : live.services.map(({ service }) => service))
    .execute();
  for (const { service, digest, url, observed = true } of live.services) {
    await db
      .insertInto('deployment')
      .values({
        environment_id: live.environmentId,
        service,
        release_id: live.releaseId,
        promotion_id: live.promotionId,
        digest,
        url,
        observed,
        since: now,
      })
      .onConflict((conflict) =>
        conflict.columns(['environment_id', 'service']).doUpdateSet((eb) => ({
          release_id: live.releaseId,
          promotion_id: live.promotionId,
          digest,
          url,
          observed,
          // the same digest goes on running: its age goes on too
          since: sql<Date>`case when ${eb.ref('deployment.digest')} = ${digest} then ${eb.ref('deployment.since')} else ${now} end`,
        })),
      )
      .execute();
  }
}

export interface Tenure {
  readonly promotionId: string;
  readonly releaseId: string;
  readonly fingerprint: string;
  /** These artifacts are barred, be it under another release. */
  readonly yanked: boolean;
  readonly byRollback: boolean;
  readonly beganAt: Date;
  readonly endedAt: Date | null;
}

/** The newest first. */
export async function tenuresOf(db: Sql, environmentId: string, limit: number): Promise<Tenure[]> {
  const rows = await db
    .selectFrom('tenure')
    .innerJoin('release', 'release.id', 'tenure.release_id')
    .innerJoin('promotion', 'promotion.id', 'tenure.promotion_id')
    .select([
      'promotion.kind',
      'tenure.promotion_id',
      'tenure.release_id',
      'release.fingerprint',
      sql<boolean>`exists (select from release as twin where twin.project_id = release.project_id
        and twin.fingerprint = release.fingerprint and twin.yanked_at is not null)`.as('yanked'),
      'tenure.began_at',
      'tenure.ended_at',
    ])
    .where('tenure.environment_id', '=', environmentId)
    .orderBy('tenure.began_at', 'desc')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    promotionId: row.promotion_id,
    releaseId: row.release_id,
    fingerprint: row.fingerprint,
    yanked: row.yanked,
    byRollback: row.kind === 'rollback',
    beganAt: row.began_at,
    endedAt: row.ended_at,
  }));
}

/** For how long artifacts of this fingerprint ran in an environment, added up; null when they never did. @param at by that instant; else now */
export async function ranFor(
  db: Sql,
  environmentId: string,
  fingerprint: string,
  at?: Date,
): Promise<{ ranMs: number; runsNow: boolean } | null> {
  const until = at === undefined ? sql<Date>`clock_timestamp()` : sql<Date>`${at}::timestamptz`;
  const row = await db
    .selectFrom('tenure')
    .innerJoin('release', 'release.id', 'tenure.release_id')
    .select([
      sql<
        number | null
      >`extract(epoch from sum(least(coalesce(tenure.ended_at, ${until}), ${until}) - tenure.began_at)) * 1000`.as(
        'ran',
      ),
      sql<boolean | null>`bool_or(tenure.ended_at is null or tenure.ended_at > ${until})`.as('now'),
    ])
    .where('tenure.environment_id', '=', environmentId)
    .where('release.fingerprint', '=', fingerprint)
    .$if(at !== undefined, (query) => query.where('tenure.began_at', '<=', at ?? new Date()))
    .executeTakeFirst();
  return row === undefined || row.ran === null ? null : { ranMs: Math.floor(row.ran), runsNow: row.now === true };
}

/** What an environment ran at an instant, with its promotion; null when nothing did. */
export async function ranAt(db: Sql, environmentId: string, at: Date): Promise<string | null> {
  const row = await db
    .selectFrom('tenure')
    .select('release_id')
    .where('environment_id', '=', environmentId)
    .where('began_at', '<=', at)
    .where((eb) => eb.or([eb('ended_at', 'is', null), eb('ended_at', '>', at)]))
    .orderBy('began_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.release_id ?? null;
}
