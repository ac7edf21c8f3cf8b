import { sql } from 'kysely';

import type { Sql } from '../../store/database.ts';
import { retentionFacts } from './retention-facts.ts';

const BATCH = 1000;

/**
 * Deletes events older than `before`. They are what the faces are told while it happens; history, lineage, `why` and the
 * audit have tables of their own. In the order of their ids, which is that of time, so that only what goes is looked at.
 * @returns how many went
 */
export async function forgetEvents(db: Sql, before: Date, signal?: AbortSignal): Promise<number> {
  for (let deleted = 0; ;) {
    signal?.throwIfAborted();
    const { numAffectedRows = 0n } = await sql`
      with oldest as (select id from event order by id limit ${BATCH})
      delete from event using oldest where event.id = oldest.id and event.at < ${before}`.execute(db);
    deleted += Number(numAffectedRows);
    if (numAffectedRows < BATCH) return deleted;
  }
}

/**
 * Deletes logs whose last line was written before `before`, but those that tell of what an environment runs, can roll back
 * to or works on: of its builds, its checks and its promotions.
 * @returns how many chunks went
 */
export async function forgetLogs(db: Sql, before: Date, signal?: AbortSignal): Promise<number> {
  const kept = await keptReleases(db);
  let deleted = 0;
  for (let after = { at: '-infinity', id: '' }; ;) {
    signal?.throwIfAborted();
    const { rows } = await sql<{ at: string; id: string }>`
      select at::text, log_id as id from log_chunk
      where at < ${before} and (at, log_id) > (${after.at}::timestamptz, ${after.id})
      order by log_chunk.at, log_id limit ${BATCH}`.execute(db);
    const last = rows.at(-1);
    if (last === undefined) return deleted;
    const ids = [...new Set(rows.map(({ id }) => id))];
    for (const id of await unneeded(db, ids, before, kept)) deleted += await deleteLog(db, id, signal);
    after = last;
  }
}

/**
 * Forgets the files that runs of checks left before `before`, but those of what an environment runs, can roll back to or works
 * on. The evidence stays, with their names.
 * @returns how many
 */
export async function forgetFiles(db: Sql, before: Date): Promise<number> {
  const kept = await keptReleases(db);
  const { numAffectedRows = 0n } = await sql`
    with kept as materialized (select id from release where number = any(${kept})),
      used as materialized (
        select artifact.digest from release_service
        join artifact on artifact.key = release_service.artifact_key
        where release_id in (select id from kept)
      )
    delete from kept_file using evidence where evidence.id = kept_file.evidence_id and evidence.at < ${before}
      and (evidence.release_id is null or evidence.release_id not in (select id from kept))
      and not exists (select from jsonb_each_text(evidence.digests) as part where part.value in (select digest from used))`.execute(
    db,
  );
  return Number(numAffectedRows);
}

/** Numbers of the releases that run, are kept for a rollback, or are on their way. */
async function keptReleases(db: Sql): Promise<number[]> {
  const projects = await db.selectFrom('project').select('id').execute();
  const numbers = new Set<number>();
  for (const { id } of projects)
    for (const { pins, busy } of await retentionFacts(db, [id]))
      for (const number of [...pins.map(({ release }) => release), ...busy]) numbers.add(number);
  return [...numbers];
}

async function unneeded(
  db: Sql,
  ids: readonly string[],
  before: Date,
  kept: readonly number[],
): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    with kept as materialized (select id from release where number = any(${kept})),
      used as materialized (
        select artifact.key, artifact.digest from release_service
        join artifact on artifact.key = release_service.artifact_key
        where release_id in (select id from kept)
      )
    select log.id from unnest(${ids}::text[]) as log (id)
    where not exists (select from log_chunk where log_id = log.id and log_chunk.at >= ${before})
      and not exists (select from artifact where log_id = log.id
        and (state = 'building' or key in (select key from used)))
      and not exists (select from promotion where log_id = log.id
        and (ended_at is null or release_id in (select id from kept)))
      and not exists (select from evidence where log_id = log.id
        and (release_id in (select id from kept)
          or exists (select from jsonb_each_text(evidence.digests) as part where part.value in (select digest from used))))`.execute(
    db,
  );
  return rows.map(({ id }) => id);
}

async function deleteLog(db: Sql, id: string, signal: AbortSignal | undefined): Promise<number> {
  for (let deleted = 0; ;) {
    signal?.throwIfAborted();
    const { numAffectedRows = 0n } = await sql`
      delete from log_chunk where log_id = ${id}
        and seq in (select seq from log_chunk where log_id = ${id} order by seq limit ${BATCH})`.execute(db);
    deleted += Number(numAffectedRows);
    if (numAffectedRows < BATCH) return deleted;
  }
}
