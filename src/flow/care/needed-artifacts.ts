import { type RawBuilder, sql } from 'kysely';

import { GIVEN_UP } from '../../artifact/given-up-store.ts';
import type { Sql } from '../../store/database.ts';
import { barredArtifacts } from './barred-artifacts.ts';
import { usedDigests } from './retention-facts.ts';

/** Since which day nothing has needed it, or by which yank, of which day, it goes. */
export type NoNeed =
  | { readonly kind: 'unneeded'; readonly since: string }
  | { readonly kind: 'yanked'; readonly since: string; readonly reason: string };

/** An artifact that no root reached at any look for the whole time of grace, or that is yanked and runs nowhere. */
export interface UnneededArtifact {
  readonly key: string;
  readonly projectId: string;
  readonly project: string;
  readonly service: string;
  readonly digest: string;
  readonly builtFor: string;
  /** Another CI built it, so only that one can bring it back. */
  readonly isReported: boolean;
  /** The number of the newest release with it. */
  readonly release: number;
  readonly why: NoNeed;
}

/**
 * The releases on the path, but for those that environments run, can put back and wait for, each with why (as the end of
 * "it ..."); `always` are those that a yank does not take off. There are as many as there are refs, git tags and environments,
 * however many releases there were.
 * @param since a mix stays from then on, for no ref means it
 */
const onThePath = (since: Date) => sql`
  live_ref as (
    select ref.repository_id, ref.commit_sha, ref.name, regexp_replace(ref.name, '^refs/(heads|tags)/', '') as called,
      exists (select from release where release.repository_id = ref.repository_id and release.commit_sha = ref.commit_sha
        and not mixed and state = 'ready') as is_ready
    from ref
      join repository on repository.id = ref.repository_id and repository.left_at is null
      join project on project.id = repository.project_id and project.removed_at is null
    where ref.deleted_at is null
  ),
  place as (
    select environment.id, project.name || '/' || environment.name as called
    from environment join project on project.id = environment.project_id where environment.removed_at is null
  ),
  root (release_id, why, always) as (
    select release.id, 'is what ' || called || ' means now', false
    from live_ref join release on release.repository_id = live_ref.repository_id
      and release.commit_sha = live_ref.commit_sha and not release.mixed
    union all
    select newest.id, 'is the newest of ' || called || ' that has its artifacts', false from live_ref, lateral (
      select release.id from release_name join release on release.id = release_name.release_id
      where release_name.ref = live_ref.name and release.repository_id = live_ref.repository_id and release.state = 'ready'
      order by named_at desc limit 1) newest
    where not is_ready
    union all
    select release_id, 'has the git tag ' || substr(ref, 11), false from release_name where starts_with(ref, 'refs/tags/')
    union all
    select newest.release_id, 'was the last that was to come into ' || called, false from place, lateral (
      select release_id, state from promotion where environment_id = place.id and state not in ('refused', 'superseded')
      order by number desc limit 1) newest
    union all
    select previous_release_id, 'would be put back if #' || release.number || ' fails', true
    from promotion join release on release.id = promotion.release_id
    where promotion.ended_at is null and previous_release_id is not null
    union all
    select id, 'was mixed lately', false from release where mixed and created_at >= ${since}
    union all
    select id, 'is part of a release that is being built', true from release where state = 'building'
  )`;

/** The keys that something needs, each with why; what environments need says so itself. */
async function needed(db: Sql, since: Date): Promise<RawBuilder<unknown>> {
  const { running, before } = await usedDigests(db);
  return sql`
    ${barredArtifacts},
    ${onThePath(since)},
    needed (key, why) as (
      select artifact_key, why from root join release_service using (release_id)
      where always or artifact_key not in (select key from barred)
      union
      select parent.value, 'is what ' || child.service || ' is built upon'
      from artifact child, jsonb_each_text(child.inputs -> 'parents') parent
      where child.depth > 0 and child.state in ('building', 'built')
      union
      select key, null from artifact where digest = any(${[...running]})
      union
      select key, null from artifact where digest = any(${[...before]}) and key not in (select key from barred)
      union
      select key, 'is what ' || reference || ' is pinned to' from base_pin join artifact on artifact.digest = base_pin.digest
      union
      select artifact.key, 'is built upon right now'
      from artifact child, jsonb_each_text(child.inputs -> 'pins') pin join artifact on artifact.digest = pin.value
      where child.state = 'building'
    )`;
}

/** What is built and needed, and why, but for what environments say themselves. */
export async function neededArtifacts(
  db: Sql,
  since: Date,
): Promise<{ readonly repository: string; readonly digest: string; readonly why: string }[]> {
  const { rows } = await sql<{ repository: string; digest: string; why: string }>`
    with ${await needed(db, since)}
    select distinct repository, digest, why from needed join artifact on artifact.key = needed.key
    where state = 'built' and why is not null order by why`.execute(db);
  return rows;
}

/** Writes down what nothing needs any more since this look, and forgets it of what something needs again. Waits for nobody. */
export async function markUnneeded(db: Sql, since: Date, at: Date): Promise<void> {
  await sql`
    with ${await needed(db, since)},
    changed as (
      select key from artifact
      where state = 'built' and (unneeded_since is not null) = (key in (select key from needed))
      for update skip locked
    )
    update artifact set unneeded_since = case when unneeded_since is null then ${at}::timestamptz end
    from changed where artifact.key = changed.key`.execute(db);
}

/**
 * What may be given up: nothing needs it now, and nothing has since before `before`, or it is yanked.
 * @param among only of these keys
 */
export async function unneededArtifacts(
  db: Sql,
  before: Date,
  among: readonly string[] | null = null,
): Promise<UnneededArtifact[]> {
  const { rows } = await sql<UnneededArtifact>`
    with ${await needed(db, before)}
    select artifact.key, artifact.project_id as "projectId", project.name as project, artifact.service, artifact.digest,
      artifact.built_for_commit as "builtFor", artifact.report_within_ms is not null as "isReported",
      case when barred.key is null then jsonb_build_object('kind', 'unneeded', 'since', ${day('artifact.unneeded_since')})
        else jsonb_build_object('kind', 'yanked', 'since', ${day('barred.at')}, 'reason', barred.reason) end as why,
      (select max(release.number) from release_service join release on release.id = release_service.release_id
        where release_service.artifact_key = artifact.key) as release
    from artifact join project on project.id = artifact.project_id left join barred on barred.key = artifact.key
    where artifact.state = 'built' and (artifact.unneeded_since < ${before} or barred.key is not null)
      and artifact.key not in (select key from needed)
      and (${among === null} or artifact.key = any(${[...(among ?? [])]}))
    order by artifact.depth desc, artifact.unneeded_since, artifact.key`.execute(db);
  return rows;
}

function day(column: string): RawBuilder<unknown> {
  return sql`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD')`;
}

/** What was given up and is on the path again, bases first, with the commit of a release that wants it; a yanked one wants nothing. */
export async function wantedAgain(db: Sql, since: Date): Promise<{ key: string; commit: string }[]> {
  const { rows } = await sql<{ key: string; commit: string }>`
    with ${barredArtifacts}, ${onThePath(since)}
    select distinct on (artifact.depth, artifact.key) artifact.key, release_service.commit_sha as commit
    from root
      join release_service using (release_id)
      join artifact on artifact.key = release_service.artifact_key
    where artifact.state = 'failed' and artifact.problem ->> 'code' = ${GIVEN_UP}
      and release_id not in (select id from barred_release)
    order by artifact.depth, artifact.key, release_id`.execute(db);
  return rows;
}
