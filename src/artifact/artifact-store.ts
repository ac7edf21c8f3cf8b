import { sql } from 'kysely';

import type { Digest } from '../lib/digest.ts';
import type { KeyInputs } from './key.ts';
import type { Problem } from '../lib/error.ts';
import { newId } from '../lib/ids.ts';
import { inParts } from '../lib/parts.ts';
import { json, type Sql } from '../store/database.ts';

/** A row of what was built, or is being built, for one artifact key. */
export interface ArtifactRow {
  readonly key: string;
  readonly projectId: string;
  readonly service: string;
  readonly builder: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly state: 'building' | 'built' | 'failed';
  readonly repository: string;
  /** Null unless it is built: what was given up is not there. */
  readonly digest: Digest | null;
  readonly problem: Problem | null;
  readonly attempt: number;
  readonly logId: string;
  readonly builtForCommit: string;
  /** Until when the report of another CI is waited for; null for what is built here. */
  readonly reportUntil: Date | null;
}

export interface WantedArtifact {
  readonly key: string;
  /** How many builds stand before its own: 0 for what is built upon no base service. */
  readonly depth: number;
  readonly service: string;
  readonly builder: string;
  readonly repository: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Of what another CI builds: how long its report is waited for. */
  readonly reportWithinMs?: number;
}

/**
 * Invariant 1: makes sure that every wanted key has its one row. Until the end of the transaction none of them ends its
 * build: else the end would not know of the release that is being cut, nor that release of the end.
 * @returns the keys that had none, and so have to be built now
 */
export async function claimArtifacts(
  db: Sql,
  projectId: string,
  commit: string,
  wanted: readonly WantedArtifact[],
): Promise<string[]> {
  // in one order always, bases first: two who claim at once wait for each other, and never in a circle
  const rows = wanted
    .toSorted((a, b) => a.depth - b.depth || (a.key < b.key ? -1 : 1))
    .map(({ key, depth, service, builder, repository, inputs, reportWithinMs = null }) => ({
      key,
      depth,
      project_id: projectId,
      service,
      builder,
      repository,
      inputs: json(inputs),
      state: 'building' as const,
      log_id: newId('log'),
      built_for_commit: commit,
      report_within_ms: reportWithinMs,
      report_until: reportWithinMs === null ? null : from(reportWithinMs),
    }));
  if (rows.length === 0) return [];
  const keys = rows.map(({ key }) => key);
  // of a thousand services a commit touches one: what the others were made from is not sent again
  const known = await db
    .selectFrom('artifact')
    .select('key')
    .where('key', '=', sql<string>`any(${keys})`)
    .execute();
  const there = new Set(known.map(({ key }) => key));
  const fresh: string[] = [];
  for (const part of inParts(
    rows.filter(({ key }) => !there.has(key)),
    1000,
  )) {
    const made = await db
      .insertInto('artifact')
      .values(part)
      .onConflict((conflict) => conflict.column('key').doNothing())
      .returning('key')
      .execute();
    fresh.push(...made.map(({ key }) => key));
  }
  await db
    .selectFrom('artifact')
    .select('key')
    .where('key', '=', sql<string>`any(${keys})`)
    .orderBy('depth')
    .orderBy('key')
    .forShare()
    .execute();
  return fresh;
}

export async function artifactByKey(db: Sql, key: string): Promise<ArtifactRow | null> {
  const row = await db.selectFrom('artifact').selectAll().where('key', '=', key).executeTakeFirst();
  return row === undefined
    ? null
    : {
        key: row.key,
        projectId: row.project_id,
        service: row.service,
        builder: row.builder,
        inputs: fieldsOf(row.inputs),
        state: row.state,
        repository: row.repository,
        digest: row.state === 'built' ? (row.digest as Digest | null) : null,
        problem: row.problem as Problem | null,
        attempt: row.attempt,
        logId: row.log_id,
        builtForCommit: row.built_for_commit,
        reportUntil: row.report_until,
      };
}

type ArtifactToBuild = Pick<ArtifactRow, 'key' | 'attempt' | 'logId' | 'service' | 'builtForCommit' | 'reportUntil'> & {
  readonly depth: number;
};

/** Those of the keys that are to be built, and what to know of them to begin. */
export async function toBuild(db: Sql, keys: readonly string[]): Promise<ArtifactToBuild[]> {
  return db
    .selectFrom('artifact')
    .select(['key', 'attempt', 'log_id as logId', 'depth', 'service'])
    .select(['built_for_commit as builtForCommit', 'report_until as reportUntil'])
    .where('key', '=', sql<string>`any(${[...keys]})`)
    .where('state', '=', 'building')
    .execute();
}

export interface BuiltRecord {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly provenance: Readonly<Record<string, unknown>>;
}

/** What the key was made from; written by the plan alone, so it is what the plan made. */
export function inputsOf({ inputs }: ArtifactRow): KeyInputs {
  return inputs as Readonly<Record<string, unknown>> & KeyInputs;
}

/**
 * Safe to repeat. A key that was built keeps its first digest: invariant 1 holds whatever a later writer says.
 * @returns whether this was the first
 */
export async function recordBuilt(db: Sql, key: string, built: BuiltRecord): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('artifact')
    .set({
      state: 'built',
      digest: built.digest,
      media_type: built.mediaType,
      size_bytes: built.sizeBytes,
      provenance: json(built.provenance),
      problem: null,
      finished_at: new Date(),
    })
    .where('key', '=', key)
    .where('state', '<>', 'built')
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

export async function recordBuildFailed(db: Sql, key: string, problem: Problem): Promise<void> {
  await db
    .updateTable('artifact')
    .set({ state: 'failed', problem: json(problem), finished_at: new Date() })
    .where('key', '=', key)
    .where('state', '<>', 'built')
    .execute();
}

/**
 * Lets a failed key be built again, as the commit says that is given: time limits may differ between commits of one key.
 * Without one, as it was built before.
 * @returns the new attempt's number and log, or null when it is not in a failed state
 */
export async function retryArtifact(
  db: Sql,
  key: string,
  commit?: string,
): Promise<{ attempt: number; logId: string } | null> {
  const row = await db
    .updateTable('artifact')
    .set((eb) => ({
      state: 'building' as const,
      problem: null,
      finished_at: null,
      attempt: eb('attempt', '+', 1),
      log_id: newId('log'),
      report_until: sql<Date | null>`clock_timestamp() + report_within_ms * interval '1 ms'`,
      ...(commit === undefined ? {} : { built_for_commit: commit }),
    }))
    .where('key', '=', key)
    .where('state', '=', 'failed')
    .returning(['attempt', 'log_id'])
    .executeTakeFirst();
  return row === undefined ? null : { attempt: row.attempt, logId: row.log_id };
}

/** A build that could not be made now is still to be made, as another attempt with the same log. @returns its number */
export async function postponeBuild(db: Sql, key: string, attempt: number): Promise<number | null> {
  const row = await db
    .updateTable('artifact')
    .set({ attempt: attempt + 1 })
    .where('key', '=', key)
    .where('attempt', '=', attempt)
    .where('state', '=', 'building')
    .returning('attempt')
    .executeTakeFirst();
  return row?.attempt ?? null;
}

/** An instant that many milliseconds from now, by the clock of the store. */
function from(ms: number) {
  return sql<Date>`clock_timestamp() + ${ms}::bigint * interval '1 ms'`;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
