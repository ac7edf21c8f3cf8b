import { sql } from 'kysely';

import type { Sql } from '../../store/database.ts';
import type { KeptImage } from './image-content.ts';
import { keptImages } from './image-content.ts';
import { neededArtifacts } from './needed-artifacts.ts';
import { retentionFacts } from './retention-facts.ts';

/** `<repository>@<digest>` -> why it stays, whatever names it has. What is not in it has no root. */
export type ContentRoots = ReadonlyMap<string, readonly string[]>;

/**
 * The very roots that a sweep marks from, with every reason that there is for each: an image that is kept because it was
 * built is also said to run, to be in a rollback window, or to be on its way.
 */
export async function contentRoots(db: Sql, host: string, mixedSince: Date): Promise<ContentRoots> {
  const roots = new Map<string, string[]>();
  for await (const { repository, digest, why } of keptImages(db, host)) add(roots, { repository, digest, why });
  for (const more of [...(await neededArtifacts(db, mixedSince)), ...(await environmentReasons(db))]) {
    const key = keyOf(more);
    if (roots.has(key)) add(roots, more);
  }
  return roots;
}

export function keyOf({ repository, digest }: Pick<KeptImage, 'repository' | 'digest'>): string {
  return `${repository}@${digest}`;
}

function add(roots: Map<string, string[]>, image: KeptImage): void {
  const known = roots.get(keyOf(image));
  if (known === undefined) roots.set(keyOf(image), [image.why]);
  else if (!known.includes(image.why)) known.unshift(image.why);
}

async function environmentReasons(db: Sql): Promise<KeptImage[]> {
  const projects = await db.selectFrom('project').select(['id', 'name']).execute();
  const reasons: KeptImage[] = [];
  for (const { id, name: project } of projects)
    for (const { name, current, pins, busy } of await retentionFacts(db, [id])) {
      const place = `${project}/${name}`;
      for (const { release, builtIn, digest } of pins) {
        const why = release === current ? `runs in ${place}` : `is in the rollback window of ${place} (#${release})`;
        reasons.push({ repository: builtIn, digest, why });
      }
      for (const { number, repository, digest } of await imagesOf(db, busy))
        reasons.push({ repository, digest, why: `is on its way in ${place} (#${number})` });
    }
  return reasons;
}

async function imagesOf(
  db: Sql,
  releases: readonly number[],
): Promise<{ number: number; repository: string; digest: string }[]> {
  if (releases.length === 0) return [];
  const { rows } = await sql<{ number: number; repository: string; digest: string }>`
    select release.number, artifact.repository, artifact.digest from release
      join release_service on release_service.release_id = release.id
      join artifact on artifact.key = release_service.artifact_key
    where release.number = any(${[...releases]}) and artifact.state = 'built'`.execute(db);
  return rows;
}
