import { join } from 'node:path';

import { createEmbeddedRegistry } from '../../../src/registry/embedded/embedded.ts';
import { imageTagOf } from '../../../src/registry/image-names.ts';
import { keepTag } from '../../../src/registry/keep-tag.ts';
import { PROJECT, type Stage } from './stage.ts';

const REPOSITORY = `${PROJECT}/web`;

/** Tag -> what it names. */
export type Tags = ReadonlyMap<string, string>;

export async function tagsOf({ data }: Stage): Promise<Tags> {
  const registry = (
    await createEmbeddedRegistry({ directory: join(data, 'registry'), host: 'registry.test' })
  ).registry();
  const found = new Map<string, string>();
  const listed = (): Promise<string[]> => registry.tags(REPOSITORY).catch(() => []);
  for (const tag of await listed()) {
    const manifest = await registry.manifest(REPOSITORY, tag);
    if (manifest !== null) found.set(tag, manifest.digest);
    // a pin that is swept between the two looks is listed no more
    else if ((await listed()).includes(tag)) throw new Error(`The tag ${tag} names nothing.`);
  }
  return found;
}

/** How many names of commits came, moved or went: each commit has its own. */
export function namesMoved(before: Tags, after: Tags): string[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((tag) => /^[0-9a-f]{12}$/.test(tag) && before.get(tag) !== after.get(tag))
    .map((tag) => (after.has(tag) ? 'a commit got its name' : 'a commit lost its name'));
}

/** For each branch: whether its name is that of the artifact of its newest commit. */
export async function namesOfBranches({ store }: Stage, tags: Tags): Promise<string[]> {
  const { rows } = await store.pool.query<{ branch: string; digest: string | null }>(
    `select substr(f.name, length('refs/heads/') + 1) as branch, a.digest from towpath.ref f
     join towpath.release r on r.repository_id = f.repository_id and r.commit_sha = f.commit_sha and not r.mixed
     join towpath.release_service s on s.release_id = r.id join towpath.artifact a on a.key = s.artifact_key
      join towpath.project p on p.id = r.project_id and p.name = '${PROJECT}'
     where f.deleted_at is null and f.name like 'refs/heads/%'`,
  );
  return rows.map(({ branch, digest }) => {
    const its = tags.get(imageTagOf({ kind: 'branch', branch })) === digest;
    return `${branch} ${its ? 'has its name' : 'has another name'}`;
  });
}

/**
 * For each environment: whether its name is that of what it is meant to run, and whether that is kept for a rollback.
 * Other pins come and go with the sweep.
 */
export async function namesOfEnvironments({ store }: Stage, tags: Tags): Promise<string[]> {
  const rows = await store.db
    .selectFrom('environment')
    .innerJoin('deployment', 'deployment.environment_id', 'environment.id')
    .innerJoin('release', 'release.id', 'environment.current_release_id')
    .select(['environment.name', 'environment.slug', 'deployment.digest', 'release.number'])
    .where('environment.removed_at', 'is', null)
    .execute();
  return rows.map(({ name, slug, digest, number }) => {
    const its = tags.get(imageTagOf({ kind: 'environment', environment: name })) === digest;
    const kept = tags.get(keepTag(slug, number)) === digest;
    return `${name} ${its ? 'has its name' : 'has another name'}, ${kept ? 'kept' : 'not kept'}`;
  });
}
