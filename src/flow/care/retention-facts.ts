import { sql } from 'kysely';

import { environmentOf } from '../../environment/place.ts';
import type { Digest } from '../../lib/digest.ts';
import { groupBy } from '../../lib/group.ts';
import type { Sql } from '../../store/database.ts';
import { definitionOf } from '../gather.ts';
import type { PinnedImage, RetainingEnvironment } from './retention.ts';

interface Kind {
  /** A base runs nowhere: what is built upon it has its layers. */
  readonly isBase: boolean;
}

export interface EnvironmentImages extends RetainingEnvironment {
  readonly id: string;
  /** The number of the release that runs there. */
  readonly current: number | null;
  /** Another one than ours, when its images are taken from there. */
  readonly registry: string | null;
  readonly pins: readonly (PinnedImage & Kind)[];
}

/** The environments of projects, also those that are gone, with what each must be able to run again. */
export async function retentionFacts(db: Sql, projectIds: readonly string[]): Promise<EnvironmentImages[]> {
  const rows = await db
    .selectFrom('environment')
    .leftJoin('release', 'release.id', 'environment.current_release_id')
    .select(['environment.id', 'name', 'slug', 'removed_at', 'definition', 'release.number'])
    .where('environment.project_id', '=', sql<string>`any(${[...projectIds]})`)
    .execute();
  const living = rows.filter(({ removed_at: removedAt }) => removedAt === null);
  const pins = await pinnedImages(
    db,
    living.map(({ id, definition }) => ({ id, keep: definitionOf({ definition }).keep })),
  );
  const busy = await releasesAtWork(
    db,
    living.map(({ id }) => id),
  );
  return rows.map(({ id, name: place, slug, removed_at: removedAt, number, definition }) => {
    const name = environmentOf(place);
    const { registry = null } = definitionOf({ definition });
    if (removedAt !== null) return { id, name, slug, registry, removed: true, current: null, pins: [], busy: [] };
    return {
      id,
      name,
      slug,
      registry,
      removed: false,
      current: number,
      pins: pins.get(id) ?? [],
      busy: busy.get(id) ?? [],
    };
  });
}

/** The images of every environment of the installation that may be asked for at any moment. */
export async function digestsInUse(db: Sql): Promise<Set<Digest>> {
  const { running, before } = await usedDigests(db);
  return new Set([...running, ...before]);
}

export interface UsedDigests {
  /** What environments run, or are about to. */
  readonly running: ReadonlySet<Digest>;
  /** What ran in them before and can be put back. */
  readonly before: ReadonlySet<Digest>;
}

/** The same, in two: also what ran before may run now. */
export async function usedDigests(db: Sql): Promise<UsedDigests> {
  const projects = await db.selectFrom('project').select('id').execute();
  const environments = await retentionFacts(
    db,
    projects.map(({ id }) => id),
  );
  const [running, before] = [new Set<Digest>(), new Set<Digest>()];
  for (const { current, pins } of environments)
    for (const { release, digest } of pins) (release === current ? running : before).add(digest);
  const { rows } = await sql<{ digest: Digest }>`
    select digest from deployment
    union
    select artifact.digest from promotion
      join release_service using (release_id)
      join artifact on artifact.key = release_service.artifact_key
    where promotion.ended_at is null and artifact.state = 'built'`.execute(db);
  for (const { digest } of rows) running.add(digest);
  return { running, before };
}

/** What runs now, and the `keep` sets of artifacts that ran last before it; a set that many releases share counts once. */
async function pinnedImages(
  db: Sql,
  environments: readonly { readonly id: string; readonly keep: number }[],
): Promise<Map<string, (PinnedImage & Kind)[]>> {
  const { rows } = await sql<PinnedImage & Kind & { readonly environment: string }>`
    select distinct place.id as environment, release.number as release,
      project.name || '/' || release_service.service as repository, artifact.repository as "builtIn", artifact.digest,
      coalesce(artifact.kind = 'base', false) as "isBase"
    from unnest(${environments.map(({ id }) => id)}::text[], ${environments.map(({ keep }) => keep)}::int[]) asked (id, keep)
      join environment place on place.id = asked.id
      join project on project.id = place.project_id
      left join release present on present.id = place.current_release_id
      cross join lateral (
        select present.fingerprint
        union
        (select release.fingerprint from tenure join release on release.id = tenure.release_id
          where tenure.environment_id = place.id and release.fingerprint is distinct from present.fingerprint
          group by release.fingerprint order by max(tenure.began_at) desc limit asked.keep)
      ) window_set
      join release on release.fingerprint = window_set.fingerprint and release.project_id = place.project_id
        and (release.id = place.current_release_id
          or exists (select from tenure where tenure.release_id = release.id and tenure.environment_id = place.id))
      join release_service on release_service.release_id = release.id
      join artifact on artifact.key = release_service.artifact_key and artifact.state = 'built'`.execute(db);
  return groupBy(rows, ({ environment }) => environment);
}

async function releasesAtWork(db: Sql, environmentIds: readonly string[]): Promise<Map<string, number[]>> {
  const { rows } = await sql<{ environment: string; number: number }>`
    select distinct promotion.environment_id as environment, release.number from promotion
      join release on release.id in (promotion.release_id, promotion.previous_release_id)
    where promotion.environment_id = any(${[...environmentIds]}) and promotion.ended_at is null`.execute(db);
  return new Map(
    [...groupBy(rows, ({ environment }) => environment)].map(([id, some]) => [id, some.map(({ number }) => number)]),
  );
}
