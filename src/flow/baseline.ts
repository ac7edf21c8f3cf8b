import { lastMeasured } from '../check/evidence-store.ts';
import type { CheckRequest } from '../check/kind.ts';
import { placeName } from '../environment/place.ts';
import { type Digest, isDigest } from '../lib/digest.ts';
import { repositoryById } from '../source/member-store.ts';
import type { House } from './house.ts';

/** What a question is measured against. */
export interface ArtifactBefore {
  readonly environment: string;
  /** Null where nothing else of the service ever ran there. */
  readonly digest: Digest | null;
}

/**
 * What runs in an environment in place of an artifact; once that runs there itself, what ran before it. So a release is
 * asked the same before and after its promotion.
 */
export async function artifactBefore(
  house: House,
  repositoryId: string,
  { service, digest, in: environment }: { readonly service: string; readonly digest: Digest; readonly in: string },
): Promise<ArtifactBefore> {
  const { projectId, name: member } = await repositoryById(house.store.db, repositoryId);
  const row = await house.store.db
    .selectFrom('tenure')
    .innerJoin('environment', 'environment.id', 'tenure.environment_id')
    .innerJoin('release_service', 'release_service.release_id', 'tenure.release_id')
    .innerJoin('artifact', 'artifact.key', 'release_service.artifact_key')
    .select('artifact.digest')
    .where('environment.project_id', '=', projectId)
    .where('environment.name', '=', placeName(environment, member))
    .where('environment.removed_at', 'is', null)
    .where('release_service.service', '=', service)
    .where('artifact.digest', 'is not', null)
    .where('artifact.digest', '<>', digest)
    .orderBy('tenure.began_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  const before = row?.digest ?? null;
  return { environment, digest: isDigest(before) ? before : null };
}

/** What the same check measured of that artifact, there where it is asked now. */
export function baselineOf(
  house: House,
  projectId: string,
  {
    name,
    service,
    before,
  }: { readonly name: string; readonly service: string; readonly before: ArtifactBefore | null },
  environmentId: string | null,
): Pick<CheckRequest<unknown>, 'baseline'> {
  if (before === null) return {};
  const { environment, digest } = before;
  if (digest === null) return { baseline: async () => null };
  return {
    baseline: async (load) => {
      const of = { projectId, check: name, service, digest, environmentId, load };
      const found = await lastMeasured(house.store.db, of);
      return found === null ? null : { environment, measures: found.measures };
    },
  };
}
