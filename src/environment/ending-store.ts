import { sql } from 'kysely';

import type { Problem } from '../lib/error.ts';
import { json, type Sql } from '../store/database.ts';

/** An environment that is to be empty. */
export interface Ending {
  readonly id: string;
  /** Which removal of it comes next: each has an id of its own. */
  readonly removal: number;
  /** It is to be gone afterwards; else it stays, empty. */
  readonly gone: boolean;
}

/**
 * What should not be running: previews whose time is over or whose branch is gone, what towpath.yaml does not name any more
 * and runs nothing, what somebody removed (also with its project) or stopped. Written in no row of its own: whoever asks compares anew.
 * @param only asks about that one alone
 */
export async function endings(db: Sql, only?: string): Promise<Ending[]> {
  const { rows } = await sql<Ending>`
    select * from (
      select environment.id, removals as removal, stop_asked_at,
        project.ending_at is not null
        or coalesce(expires_at <= clock_timestamp(), false)
        or preview_branch is not null and not exists (
          select from ref join repository on repository.id = ref.repository_id
          where repository.project_id = environment.project_id and ref.deleted_at is null and repository.left_at is null
            and (environment.repository_id is null or environment.repository_id = repository.id)
            and ref.name = coalesce(preview_ref, 'refs/heads/' || preview_branch))
        or unnamed_at is not null and current_release_id is null and not exists (
          select from promotion where promotion.environment_id = environment.id and promotion.ended_at is null
            and promotion.state in ('tagging', 'deploying', 'verifying')) as gone
      from environment join project on project.id = environment.project_id
      where environment.removed_at is null and (${only ?? null}::text is null or environment.id = ${only ?? null})
    ) as place
    where gone or stop_asked_at is not null`.execute(db);
  return rows.map(({ id, removal, gone }) => ({ id, removal, gone }));
}

/** The wish that an environment ends, as a row: whatever becomes of the first try, it counts until it is gone. */
export async function endEnvironment(db: Sql, environmentId: string): Promise<void> {
  await db
    .updateTable('environment')
    .set({ expires_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', environmentId)
    .execute();
}

/** The wish that an environment is empty, as a row: it counts until it is. */
export async function stopEnvironment(db: Sql, environmentId: string): Promise<void> {
  await db
    .updateTable('environment')
    .set({ stop_asked_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', environmentId)
    .execute();
}

/** It is empty, or need not be any more. @returns whether somebody had asked for that */
export async function recordStopped(db: Sql, environmentId: string): Promise<boolean> {
  const stopped = await db
    .updateTable('environment')
    .set({ stop_asked_at: null, end_problem: null })
    .where('id', '=', environmentId)
    .where('stop_asked_at', 'is not', null)
    .executeTakeFirst();
  return stopped.numUpdatedRows > 0n;
}

/** A driver is about to start something there. It stands here until all that it started is gone. */
export async function recordDriver(db: Sql, environmentId: string, driver: string): Promise<void> {
  await db
    .updateTable('environment')
    .set({ drivers: sql<string[]>`array_append(drivers, ${driver})` })
    .where('id', '=', environmentId)
    .where(sql<boolean>`not ${driver} = any(drivers)`)
    .execute();
}

/** Only these drivers still have something there. @param problem why that of former ones could not be ended */
export async function recordDrivers(
  db: Sql,
  environmentId: string,
  drivers: readonly string[],
  problem: Problem | null = null,
): Promise<void> {
  await db
    .updateTable('environment')
    .set({ drivers: [...drivers], end_problem: problem === null ? null : json(problem) })
    .where('id', '=', environmentId)
    .execute();
}

/** Nothing counts as running there any more. Safe to repeat. */
export async function recordEmptied(db: Sql, environmentId: string): Promise<void> {
  await db
    .updateTable('tenure')
    .set({ ended_at: new Date() })
    .where('environment_id', '=', environmentId)
    .where('ended_at', 'is', null)
    .execute();
  await db.deleteFrom('deployment').where('environment_id', '=', environmentId).execute();
  await db
    .updateTable('environment')
    .set({ current_release_id: null, current_promotion_id: null, current_since: null })
    .where('id', '=', environmentId)
    .execute();
}

/** A try to empty it failed; it is made again. */
export async function recordEndProblem(db: Sql, environmentId: string, problem: Problem): Promise<void> {
  await db
    .updateTable('environment')
    .set({ end_problem: json(problem) })
    .where('id', '=', environmentId)
    .execute();
}

/** A removal has come to its end, whether it found something to do or not. */
export async function recordRemovalDone(db: Sql, environmentId: string): Promise<void> {
  await db
    .updateTable('environment')
    .set((eb) => ({ removals: eb('removals', '+', 1), end_problem: null }))
    .where('id', '=', environmentId)
    .execute();
}

/** Marks an environment as gone and gives its ports back. Safe to repeat. */
export async function recordRemoved(db: Sql, environmentId: string): Promise<void> {
  await recordEmptied(db, environmentId);
  await db.deleteFrom('endpoint').where('environment_id', '=', environmentId).execute();
  await db
    .updateTable('environment')
    .set({ removed_at: new Date() })
    .where('id', '=', environmentId)
    .where('removed_at', 'is', null)
    .execute();
}

/** Projects that were to end and have no environment left are gone: their names are free again. */
export async function endProjects(db: Sql): Promise<{ id: string; name: string }[]> {
  const { rows } = await sql<{ id: string; name: string }>`
    update project set removed_at = clock_timestamp()
    where ending_at is not null and removed_at is null
      and not exists (select from environment where project_id = project.id and environment.removed_at is null)
    returning id, name`.execute(db);
  return rows;
}
