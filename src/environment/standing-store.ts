import { sql } from 'kysely';

import type { Digest } from '../lib/digest.ts';
import type { Sql } from '../store/database.ts';

/** What a service that runs somewhere stands upon, itself or through other bases. */
export interface Standing {
  readonly environment: string;
  readonly service: string;
  readonly kind: 'outside' | 'service';
  /** The reference of an outside image, or the name of a base service. */
  readonly base: string;
  readonly digest: Digest;
}

/** Of a project, as its environments run now: as many look-ups as services run there and bases lie under them. */
export async function standingsOf(db: Sql, projectId: string): Promise<Standing[]> {
  const { rows } = await sql<Standing>`
    with recursive runs as (
      select environment.name as environment, deployment.service, release_service.artifact_key as key
      from environment
        join deployment on deployment.environment_id = environment.id
        join release_service on release_service.release_id = deployment.release_id
          and release_service.service = deployment.service
      where environment.project_id = ${projectId} and environment.removed_at is null
    ), layer as (
      select environment, service, key from runs
      union
      select layer.environment, layer.service, base.value
      from layer join artifact on artifact.key = layer.key
        join lateral jsonb_each_text(artifact.inputs -> 'parents') base on true
    )
    select layer.environment, layer.service, 'outside' as kind, pin.key as base, pin.value as digest
    from layer join artifact on artifact.key = layer.key
      join lateral jsonb_each_text(artifact.inputs -> 'pins') pin on true
    union
    select layer.environment, layer.service, 'service', artifact.service, artifact.digest
    from layer join artifact on artifact.key = layer.key
    where artifact.inputs ->> 'kind' = 'base' and artifact.state = 'built'
    order by 3, 4, 1, 2`.execute(db);
  return rows;
}

/** The image of a base service, as the default branch has it now. */
export interface BaseService {
  readonly service: string;
  readonly digest: Digest;
  readonly commit: string;
  readonly since: Date;
}

/** Of the newest release of the default branch's head that has one. */
export async function baseServicesOf(db: Sql, projectId: string): Promise<BaseService[]> {
  const { rows } = await sql<BaseService>`
    select distinct on (release_service.service) release_service.service, artifact.digest,
      artifact.built_for_commit as commit, artifact.finished_at as since
    from repository
      join ref on ref.repository_id = repository.id and ref.name = 'refs/heads/' || repository.default_branch
        and ref.deleted_at is null
      join release on release.repository_id = ref.repository_id and release.commit_sha = ref.commit_sha and not release.mixed
      join release_service on release_service.release_id = release.id
      join artifact on artifact.key = release_service.artifact_key
    where repository.project_id = ${projectId} and repository.left_at is null
      and artifact.inputs ->> 'kind' = 'base' and artifact.state = 'built'
    order by release_service.service, release.edition desc`.execute(db);
  return rows;
}
