import { sql } from 'kysely';

import type { Digest } from '../../lib/digest.ts';
import type { Sql } from '../../store/database.ts';
import { deploymentsOf } from './views.ts';

/** A service in an environment: what runs there, and what is there by its digest alone. */
export interface Present {
  readonly environmentId: string;
  readonly service: string;
  readonly digest: Digest;
  readonly releaseId: string;
  readonly url: string | null;
  readonly since: string;
  /** False for a function that no driver of the environment runs: it was promoted, and nobody saw it run. */
  readonly runs: boolean;
  /** False for what stands committed in a manifest repository: nobody of us saw it run. */
  readonly observed: boolean;
}

/** All that environments hold, by name of the service. */
export async function presentIn(db: Sql, environmentIds: readonly string[]): Promise<Present[]> {
  if (environmentIds.length === 0) return [];
  const running = (await deploymentsOf(db, environmentIds)).map((row) => ({ ...row, runs: true }));
  const known = new Set(running.map(({ environmentId, service }) => `${environmentId} ${service}`));
  const rows = await db
    .selectFrom('environment')
    .innerJoin('release_service', 'release_service.release_id', 'environment.current_release_id')
    .innerJoin('artifact', 'artifact.key', 'release_service.artifact_key')
    .select([
      'environment.id',
      'environment.current_since',
      'release_service.service',
      'release_service.release_id',
      'artifact.digest',
    ])
    .where('environment.id', 'in', [...environmentIds])
    .where(sql<boolean>`artifact.inputs ->> 'kind' = 'zip'`)
    .execute();
  const byReference = rows.flatMap(({ id, current_since, service, release_id, digest }): Present[] =>
    digest === null || known.has(`${id} ${service}`)
      ? []
      : [
          {
            environmentId: id,
            service,
            digest: digest as Digest,
            releaseId: release_id,
            url: null,
            since: (current_since ?? new Date(0)).toISOString(),
            runs: false,
            observed: false,
          },
        ],
  );
  return [...running, ...byReference].toSorted((one, other) => (one.service < other.service ? -1 : 1));
}
