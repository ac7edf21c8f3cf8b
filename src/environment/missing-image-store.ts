import type { Digest } from '../lib/digest.ts';
import type { Sql } from '../store/database.ts';

/** An image that an environment runs, or must be able to run again, and that is not in the registry, or not whole. */
export interface MissingImage {
  /** Of the newest release that needs it there. */
  readonly release: number;
  readonly repository: string;
  readonly digest: Digest;
}

/** Puts what was found in place of what was known. @returns what is new, and what is back or needed no more */
export async function recordMissing(
  db: Sql,
  environmentId: string,
  found: readonly MissingImage[],
): Promise<{ readonly gone: readonly MissingImage[]; readonly back: readonly MissingImage[] }> {
  const known = (await missingImages(db, [environmentId])).get(environmentId) ?? [];
  const isIn = (all: readonly MissingImage[]) => (one: MissingImage) =>
    all.some(({ repository, digest }) => repository === one.repository && digest === one.digest);
  const gone = found.filter((one) => !isIn(known)(one));
  const back = known.filter((one) => !isIn(found)(one));
  for (const { release, repository, digest } of gone)
    await db
      .insertInto('missing_image')
      .values({ environment_id: environmentId, release_number: release, repository, digest })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  for (const { repository, digest } of back)
    await db
      .deleteFrom('missing_image')
      .where('environment_id', '=', environmentId)
      .where('repository', '=', repository)
      .where('digest', '=', digest)
      .execute();
  return { gone, back };
}

/** By environment. */
export async function missingImages(
  db: Sql,
  environmentIds: readonly string[],
): Promise<Map<string, (MissingImage & { readonly since: Date })[]>> {
  const found = new Map<string, (MissingImage & { readonly since: Date })[]>();
  if (environmentIds.length === 0) return found;
  const rows = await db
    .selectFrom('missing_image')
    .selectAll()
    .where('environment_id', 'in', [...environmentIds])
    .orderBy('release_number', 'desc')
    .orderBy('repository')
    .execute();
  for (const { environment_id: id, release_number: release, repository, digest, since } of rows)
    found.set(id, [...(found.get(id) ?? []), { release, repository, digest: digest as Digest, since }]);
  return found;
}
