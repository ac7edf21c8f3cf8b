import { type Selectable, sql } from 'kysely';
import { z } from 'zod';

import { StoredIdentity } from '../access/identity.ts';
import { type Digest, isDigest } from '../lib/digest.ts';
import type { Problem } from '../lib/error.ts';
import { newId } from '../lib/ids.ts';
import { json, type Sql } from '../store/database.ts';
import type { Tables } from '../store/tables.ts';
import type { Provenance } from './provenance.ts';
import type { Report } from './report.ts';

/** How long it is waited for that the commit of a report is seen: a CI may be faster than the poll. */
const COMMIT_WITHIN_MS = 10 * 60_000;

const DigestText = z.custom<Digest>(isDigest);
const ProblemRow = z.object({ code: z.string(), what: z.string(), fix: z.string() });
const Origin = z.object({
  predicateType: z.string(),
  subjects: z.array(DigestText),
  builder: z.string().nullable(),
  sources: z.array(z.object({ uri: z.string(), commit: z.string().nullable() })),
  signed: z.boolean(),
});

export type NewReport = Pick<
  Report,
  'projectId' | 'service' | 'commit' | 'digest' | 'image' | 'provenance' | 'by' | 'identity'
>;

/**
 * Of a service at a commit one report stands.
 * @returns it, which is another where somebody reported before
 */
export async function claimReport(db: Sql, report: NewReport): Promise<{ report: Report; isNew: boolean }> {
  const id = newId('rpt');
  const made = await db
    .insertInto('artifact_report')
    .values({
      id,
      project_id: report.projectId,
      service: report.service,
      commit_sha: report.commit,
      digest: report.digest,
      image: report.image,
      provenance: report.provenance,
      reported_by: report.by,
      identity: report.identity === null ? null : json(report.identity),
      state: 'checking',
      commit_until: sql<Date>`clock_timestamp() + ${COMMIT_WITHIN_MS} * interval '1 ms'`,
    })
    .onConflict((conflict) =>
      conflict.columns(['project_id', 'service', 'commit_sha']).where('state', '<>', 'refused').doNothing(),
    )
    .executeTakeFirst();
  const isNew = made.numInsertedOrUpdatedRows === 1n;
  const row = await db
    .selectFrom('artifact_report')
    .selectAll()
    .where('project_id', '=', report.projectId)
    .where('service', '=', report.service)
    .where('commit_sha', '=', report.commit)
    .where('state', '<>', 'refused')
    .executeTakeFirst();
  // the one that stood was refused between the two
  return row === undefined ? claimReport(db, report) : { report: reportOf(row), isNew };
}

export async function reportById(db: Sql, id: string): Promise<Report | null> {
  const row = await db.selectFrom('artifact_report').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? null : reportOf(row);
}

/** Of a project, the newest first. */
export async function reportsOf(db: Sql, projectId: string, limit: number): Promise<Report[]> {
  const rows = await db
    .selectFrom('artifact_report')
    .selectAll()
    .where('project_id', '=', projectId)
    .orderBy('reported_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute();
  return rows.map(reportOf);
}

/** The first that was accepted of each artifact, by its key: what it came from. */
export async function reportsByKey(db: Sql, keys: readonly string[]): Promise<Map<string, Report>> {
  if (keys.length === 0) return new Map();
  const rows = await db
    .selectFrom('artifact_report')
    .selectAll()
    .distinctOn('artifact_key')
    .where('artifact_key', 'in', [...keys])
    .where('state', '=', 'accepted')
    .orderBy('artifact_key')
    .orderBy('ended_at')
    .execute();
  return new Map(
    rows.flatMap((row) => (row.artifact_key === null ? [] : [[row.artifact_key, reportOf(row)] as const])),
  );
}

/** The newest of a service at a commit, whatever became of it. */
export async function newestReport(
  db: Sql,
  projectId: string,
  service: string,
  commit: string,
): Promise<Report | null> {
  const row = await db
    .selectFrom('artifact_report')
    .selectAll()
    .where('project_id', '=', projectId)
    .where('service', '=', service)
    .where('commit_sha', '=', commit)
    .orderBy('reported_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? null : reportOf(row);
}

/** Looks at a report anew. @returns the number of the look, or null when it has ended */
export async function nextLook(db: Sql, id: string): Promise<number | null> {
  const row = await db
    .updateTable('artifact_report')
    .set((eb) => ({ state: 'checking' as const, runs: eb('runs', '+', 1) }))
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .returning('runs')
    .executeTakeFirst();
  return row?.runs ?? null;
}

/** Its commit is not there yet; it is looked at again when something was taken in. */
export async function awaitCommit(db: Sql, id: string): Promise<void> {
  await db
    .updateTable('artifact_report')
    .set({ state: 'waiting' })
    .where('id', '=', id)
    .where('state', '=', 'checking')
    .execute();
}

/**
 * The reports of a project that wait for their commit. All that are open stay as they are until the end of the
 * transaction, so that none begins to wait unseen while its commit is taken in.
 */
export async function reportsWaiting(db: Sql, projectId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('artifact_report')
    .select(['id', 'state'])
    .where('project_id', '=', projectId)
    .where('ended_at', 'is', null)
    .orderBy('id')
    .forUpdate()
    .execute();
  return rows.filter(({ state }) => state === 'waiting').map(({ id }) => id);
}

/** @returns false when it had ended */
export async function endReport(
  db: Sql,
  id: string,
  end:
    | { readonly kind: 'accepted'; readonly key: string; readonly image: string; readonly origin: Provenance | null }
    | { readonly kind: 'refused'; readonly problem: Problem },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('artifact_report')
    .set({
      state: end.kind,
      ended_at: new Date(),
      ...(end.kind === 'refused'
        ? { problem: json(end.problem) }
        : { artifact_key: end.key, image: end.image, origin: end.origin === null ? null : json(end.origin) }),
    })
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Reports that are waited with for their commit: those whose time is over, and those whose commit is there after all. */
export async function waitingReports(db: Sql): Promise<{ id: string; isOver: boolean; isSeen: boolean }[]> {
  const { rows } = await sql<{ id: string; is_over: boolean; is_seen: boolean }>`
    select id, commit_until <= clock_timestamp() as is_over, exists (
      select from release where release.project_id = report.project_id and release.commit_sha = report.commit_sha
        and not release.mixed) as is_seen
    from artifact_report report where ended_at is null and state = 'waiting'
    order by reported_at limit 100`.execute(db);
  return rows.map(({ id, is_over: isOver, is_seen: isSeen }) => ({ id, isOver, isSeen }));
}

/** Those that somebody should be at work on, and not since a moment ago. */
export async function reportsInWork(db: Sql): Promise<{ id: string; runs: number }[]> {
  return db
    .selectFrom('artifact_report')
    .select(['id', 'runs'])
    .where('ended_at', 'is', null)
    .where('state', '=', 'checking')
    .where('reported_at', '<', sql<Date>`clock_timestamp() - interval '15 seconds'`)
    .orderBy('reported_at')
    .limit(100)
    .execute();
}

/** Artifacts whose report did not come in time. */
export async function unreportedArtifacts(db: Sql): Promise<{ key: string; attempt: number }[]> {
  return db
    .selectFrom('artifact')
    .select(['key', 'attempt'])
    .where('state', '=', 'building')
    .where('report_until', '<=', sql<Date>`clock_timestamp()`)
    .orderBy('report_until')
    .limit(100)
    .execute();
}

function reportOf(row: Selectable<Tables['artifact_report']>): Report {
  return {
    id: row.id,
    projectId: row.project_id,
    service: row.service,
    commit: row.commit_sha,
    digest: DigestText.parse(row.digest),
    image: row.image,
    provenance: row.provenance,
    by: row.reported_by,
    identity: StoredIdentity.nullable().parse(row.identity),
    state: row.state,
    commitUntil: row.commit_until,
    key: row.artifact_key,
    origin: Origin.nullable().parse(row.origin),
    problem: ProblemRow.nullable().parse(row.problem),
    runs: row.runs,
    at: row.reported_at,
    endedAt: row.ended_at,
  };
}
