import type { Sql } from '../store/database.ts';

export interface UnneededImage {
  readonly repository: string;
  readonly digest: string;
}

/** `<repository>@<digest>` -> since when nothing needs it, as far as somebody looked. */
export async function unneededSince(db: Sql): Promise<Map<string, number>> {
  const rows = await db.selectFrom('unneeded_image').selectAll().execute();
  return new Map(rows.map(({ repository, digest, since }) => [`${repository}@${digest}`, since.getTime()]));
}

/** Puts what was found in place of what was known; what was known already keeps its time. */
export async function recordUnneeded(db: Sql, found: readonly UnneededImage[], nowMs: number): Promise<void> {
  const known = await unneededSince(db);
  const keys = new Set(found.map(({ repository, digest }) => `${repository}@${digest}`));
  for (const { repository, digest } of found)
    await db
      .insertInto('unneeded_image')
      .values({ repository, digest, since: new Date(nowMs) })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  for (const key of known.keys()) {
    if (keys.has(key)) continue;
    const [repository = '', digest = ''] = key.split('@');
    await db.deleteFrom('unneeded_image').where('repository', '=', repository).where('digest', '=', digest).execute();
  }
}
