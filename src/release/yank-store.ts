import { sql } from 'kysely';

import type { Sql } from '../store/database.ts';
import { fingerprintOf, type Release } from './release.ts';

/** Bars a release, and every other with the same artifacts, everywhere. Safe to repeat: the first reason stays. */
export async function yankRelease(db: Sql, releaseId: string, reason: string, by: string): Promise<boolean> {
  const result = await db
    .updateTable('release')
    .set({ yanked_at: new Date(), yank_reason: reason, yanked_by: by })
    .where('id', '=', releaseId)
    .where('yanked_at', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Lifts the bar from these artifacts, whichever release with them was yanked. */
export async function unyankRelease(db: Sql, release: Pick<Release, 'projectId' | 'fingerprint'>): Promise<boolean> {
  const result = await db
    .updateTable('release')
    .set({ yanked_at: null, yank_reason: null, yanked_by: null })
    .where('project_id', '=', release.projectId)
    .where('fingerprint', '=', release.fingerprint)
    .where('yanked_at', 'is not', null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Artifacts are barred by a yank of any release that is the same thing to run: `twinKey` -> the first yank. */
export async function yanksOf(
  db: Sql,
  releases: readonly { readonly project_id: string; readonly fingerprint: string }[],
): Promise<Map<string, NonNullable<Release['yank']>>> {
  // what has no artifacts at all (its configuration could not be read) is nobody's twin
  const fingerprints = new Set(
    releases.map(({ fingerprint }) => fingerprint).filter((one) => one !== fingerprintOf({})),
  );
  if (fingerprints.size === 0) return new Map();
  const rows = await db
    .selectFrom('release')
    .select(['project_id', 'fingerprint', 'yanked_at', 'yank_reason', 'yanked_by'])
    .where('project_id', 'in', [...new Set(releases.map(({ project_id }) => project_id))])
    .where('fingerprint', 'in', [...fingerprints])
    .where('yanked_at', 'is not', null)
    .orderBy('yanked_at', 'desc')
    .execute();
  return new Map(
    rows.flatMap(({ yanked_at: at, yank_reason: reason, yanked_by: by, ...row }) =>
      at === null ? [] : [[twinKey(row), { reason: reason ?? '', by: by ?? '', at }] as const],
    ),
  );
}

/** Equal for releases of one project that are the same thing to run. */
export function twinKey(release: { readonly project_id: string; readonly fingerprint: string }): string {
  return `${release.project_id}/${release.fingerprint}`;
}

/** Why these artifacts were barred at an instant, as the events tell it; null when they were not. */
export async function yankedAt(
  db: Sql,
  { projectId, fingerprint }: Pick<Release, 'projectId' | 'fingerprint'>,
  at: Date,
): Promise<string | null> {
  const row = await db
    .selectFrom('event')
    .innerJoin('release', 'release.id', 'event.subject')
    .select(['event.kind', sql<string | null>`event.data ->> 'reason'`.as('reason')])
    .where('event.kind', 'in', ['release.yanked', 'release.unyanked'])
    .where('event.at', '<=', at)
    .where('release.project_id', '=', projectId)
    .where('release.fingerprint', '=', fingerprint)
    .orderBy('event.id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.kind === 'release.yanked' ? (row.reason ?? '') : null;
}
