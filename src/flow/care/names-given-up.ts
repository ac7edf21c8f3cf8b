import { sql } from 'kysely';

import { environmentOf } from '../../environment/place.ts';
import { pullNumber } from '../../git/ref.ts';
import { pullName } from '../../path/triggers.ts';
import { imageTagOf } from '../../registry/image-names.ts';
import type { Registry } from '../../registry/registry.ts';
import type { Sql } from '../../store/database.ts';

interface GivenUpName {
  readonly repository: string;
  readonly digest: string;
  readonly commit: string;
  readonly ref: string | null;
  readonly environment: string | null;
}

/**
 * Of the tags of repositories those that Towpath gave to images that are given up since: of commits, branches, git tags and
 * environments. A name that means another image by now is none of them, and a name that somebody else gave stays.
 * @param tags repository -> its tags
 */
export async function namesGivenUp(
  db: Sql,
  registry: Pick<Registry, 'manifest'>,
  tags: ReadonlyMap<string, readonly string[]>,
): Promise<ReadonlySet<string>> {
  const over = new Set<string>();
  const candidates = new Map<string, Set<string>>();
  for (const { repository, digest, commit, ref, environment } of await givenUpNames(db, [...tags.keys()])) {
    const names = [
      imageTagOf({ kind: 'commit', commit }),
      ...(ref === null ? [] : [refTag(ref)]),
      ...(environment === null ? [] : [imageTagOf({ kind: 'environment', environment: environmentOf(environment) })]),
    ];
    for (const tag of names) {
      if (tags.get(repository)?.includes(tag) !== true) continue;
      const key = `${repository}:${tag}`;
      candidates.set(key, (candidates.get(key) ?? new Set()).add(digest));
    }
  }
  for (const [key, digests] of candidates) {
    const [repository = '', tag = ''] = key.split(':');
    const held = await registry.manifest(repository, tag);
    if (held !== null && digests.has(held.digest)) over.add(key);
  }
  return over;
}

function refTag(ref: string): string {
  if (ref.startsWith('refs/tags/')) return imageTagOf({ kind: 'tag', tag: ref.slice('refs/tags/'.length) });
  const pull = pullNumber(ref);
  return imageTagOf({ kind: 'branch', branch: pull === null ? ref.slice('refs/heads/'.length) : pullName(pull) });
}

/** A digest that any artifact has, or is about to have again, keeps its names. */
async function givenUpNames(db: Sql, repositories: readonly string[]): Promise<GivenUpName[]> {
  const { rows } = await sql<GivenUpName>`
    select distinct place.repository, artifact.digest, release.commit_sha as commit, release_name.ref,
      environment.name as environment
    from artifact
      join release_service on release_service.artifact_key = artifact.key
      join release on release.id = release_service.release_id
      join project on project.id = release.project_id
      left join release_name on release_name.release_id = release.id
      left join promotion on promotion.release_id = release.id
      left join environment on environment.id = promotion.environment_id,
      lateral (values (artifact.repository), (project.name || '/' || release_service.service)) as place (repository)
    where artifact.state = 'failed' and artifact.given_up_at is not null and artifact.digest is not null
      and place.repository = any(${[...repositories]})
      and not exists (select from artifact other where other.digest = artifact.digest and other.state <> 'failed')`.execute(
    db,
  );
  return rows;
}
