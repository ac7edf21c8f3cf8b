import { sql } from 'kysely';

import type { Problem } from '../lib/error.ts';
import { json, type Sql } from '../store/database.ts';

/** The code of an artifact that was there and that nothing needed any more. */
export const GIVEN_UP = 'artifact.given-up';

/** Of the keys those that are built, bases first. They stay so, and get into no further release, until the end of the transaction. */
export async function lockBuilt(db: Sql, keys: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('artifact')
    .select('key')
    .where('key', '=', sql<string>`any(${[...keys]})`)
    .where('state', '=', 'built')
    .orderBy('depth')
    .orderBy('key')
    .forUpdate()
    .execute();
  return rows.map(({ key }) => key);
}

/** Its digest stays to be read. What another CI reported is reported again where it is wanted again. */
export async function recordGivenUp(db: Sql, key: string, problem: Problem, at: Date): Promise<void> {
  await db
    .updateTable('artifact')
    .set({ state: 'failed', problem: json(problem), given_up_at: at, unneeded_since: null })
    .where('key', '=', key)
    .where('state', '=', 'built')
    .execute();
  await db
    .updateTable('artifact_report')
    .set({ state: 'refused', problem: json(problem) })
    .where('artifact_key', '=', key)
    .where('state', '=', 'accepted')
    .execute();
}

/** Of the keys those that were given up and that nobody asked for since. */
export async function givenUpAmong(db: Sql, keys: readonly string[]): Promise<string[]> {
  if (keys.length === 0) return [];
  const { rows } = await sql<{ key: string }>`
    select key from artifact
    where key = any(${[...keys]}) and state = 'failed' and problem ->> 'code' = ${GIVEN_UP}
    order by depth, key`.execute(db);
  return rows.map(({ key }) => key);
}

/** What was given up of the release that a commit has: of its editions one that stands, else the newest. */
export async function givenUpOf(db: Sql, repositoryId: string, commit: string): Promise<string[]> {
  const { rows } = await sql<{ key: string }>`
    select artifact.key from artifact
      join release_service on release_service.artifact_key = artifact.key
    where artifact.state = 'failed' and artifact.problem ->> 'code' = ${GIVEN_UP} and release_service.release_id = (
      select id from release where repository_id = ${repositoryId} and commit_sha = ${commit} and not mixed
      order by state = 'ready' desc, state <> 'failed' desc, edition desc limit 1)
    order by artifact.depth, artifact.key`.execute(db);
  return rows.map(({ key }) => key);
}
