import { sql } from 'kysely';

import { fingerprintOf } from '../../release/release.ts';

/**
 * What is barred, as clauses of a query. `barred_release`: what was yanked, and what is the same thing to run; `deletes` where
 * the default branch of its project says so. `barred`: of those projects the artifacts that no other release has, whichever
 * project it is of, each with its last yank. There are as many as there are yanks, however many releases there were.
 */
export const barredArtifacts = sql`
  yank (project_id, fingerprint, reason, at) as materialized (
    select distinct on (project_id, fingerprint) project_id, fingerprint, yank_reason, yanked_at from release
    where yanked_at is not null and fingerprint <> ${fingerprintOf({})}
    order by project_id, fingerprint, yanked_at
  ),
  barred_release (id, deletes, reason, at) as materialized (
    select release.id, release.project_id in (
        select project_id from repository
        where name is null and left_at is null and config -> 'yank' ->> 'delete' = 'true'
      ), yank.reason, yank.at
    from yank join release using (project_id, fingerprint)
  ),
  barred (key, reason, at) as materialized (
    select distinct on (own.artifact_key) own.artifact_key, barred_release.reason, barred_release.at
    from barred_release join release_service own on own.release_id = barred_release.id
    where deletes and not exists (
      select from release_service other where other.artifact_key = own.artifact_key
        and other.release_id not in (select id from barred_release where deletes))
    order by own.artifact_key, barred_release.at desc
  )`;
