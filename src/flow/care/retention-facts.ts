import { sql } from 'kysely';

import { environmentOf } from '../../environment/place.ts';
import type { Digest } from '../../lib/digest.ts';
import type { Sql } from '../../store/database.ts';
import { definitionOf } from '../gather.ts';
import type { PinnedImage, RetainingEnvironment } from './retention.ts';

export interface EnvironmentImages extends RetainingEnvironment {
  readonly id: string;
  /** The number of the release that runs there. */
  readonly current: number | null;
}

/** The environments of a project, also those that are gone, with what each must be able to run again. */
export async function retentionFacts(db: Sql, projectId: string): Promise<EnvironmentImages[]> {
  const rows = await db
    .selectFrom('environment')
    .leftJoin('release', 'release.id', 'environment.current_release_id')
    .select(['environment.id', 'name', 'slug', 'removed_at', 'current_release_id', 'definition', 'release.number'])
    .where('environment.project_id', '=', projectId)
    .execute();
  return Promise.all(
    rows.map(
      async ({ id, name: place, slug, removed_at: removedAt, current_release_id: currentId, definition, number }) => {
        const removed = removedAt !== null;
        const name = environmentOf(place);
        if (removed) return { id, name, slug, removed, current: null, pins: [], busy: [] };
        const { keep } = definitionOf({ definition });
        const busy = await releasesAtWork(db, id);
        const pins = await pinnedImages(db, { id, projectId, current: currentId, keep });
        return { id, name, slug, removed, current: number, pins, busy };
      },
    ),
  );
}

/** The images of every environment of the installation that may be asked for at any moment. */
export async function digestsInUse(db: Sql): Promise<Set<Digest>> {
  const projects = await db.selectFrom('project').select('id').execute();
  const digests = new Set<Digest>();
  for (const { id } of projects) {
    for (const { pins } of await retentionFacts(db, id)) for (const { digest } of pins) digests.add(digest);
  }
  const { rows } = await sql<{ digest: Digest }>`
    select digest from deployment
    union
    select artifact.digest from promotion
      join release_service using (release_id)
      join artifact on artifact.key = release_service.artifact_key
    where promotion.ended_at is null and artifact.digest is not null`.execute(db);
  for (const { digest } of rows) digests.add(digest);
  return digests;
}

/** What runs now, and the `keep` sets of artifacts that ran last before it; a set that many releases share counts once. */
async function pinnedImages(
  db: Sql,
  environment: {
    readonly id: string;
    readonly projectId: string;
    readonly current: string | null;
    readonly keep: number;
  },
): Promise<PinnedImage[]> {
  const { rows } = await sql<PinnedImage>`
    with present as (select fingerprint from release where id = ${environment.current}),
      past as (
        select fingerprint from tenure join release on release.id = tenure.release_id
        where tenure.environment_id = ${environment.id} and fingerprint not in (select fingerprint from present)
        group by fingerprint order by max(tenure.began_at) desc limit ${environment.keep}
      )
    select distinct release.number as release, project.name || '/' || release_service.service as repository,
      artifact.repository as "builtIn", artifact.digest
    from release
      join project on project.id = release.project_id
      join release_service on release_service.release_id = release.id
      join artifact on artifact.key = release_service.artifact_key
    where release.project_id = ${environment.projectId} and artifact.digest is not null
      and release.fingerprint in (select fingerprint from present union select fingerprint from past)
      and (release.id = ${environment.current}
        or release.id in (select release_id from tenure where environment_id = ${environment.id}))`.execute(db);
  return rows;
}

async function releasesAtWork(db: Sql, environmentId: string): Promise<number[]> {
  const { rows } = await sql<{ number: number }>`
    select distinct release.number from promotion
      join release on release.id in (promotion.release_id, promotion.previous_release_id)
    where promotion.environment_id = ${environmentId} and promotion.ended_at is null`.execute(db);
  return rows.map(({ number }) => number);
}
