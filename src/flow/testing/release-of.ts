import type { Release } from '../../release/release.ts';
import { releaseById } from '../../release/release-store.ts';
import { until } from './until.ts';
import type { World } from './world.ts';

/** The release that was cut from a commit, once it has its artifacts. */
export async function releaseOf({ house: { store } }: World, commit: string): Promise<Release> {
  const { id } = await until(async () => {
    const found = store.db
      .selectFrom('release')
      .select('id')
      .where('commit_sha', '=', commit)
      .where('state', '=', 'ready');
    return (await found.executeTakeFirst()) ?? null;
  });
  const release = await releaseById(store.db, id);
  if (release === null) throw new Error('The release is gone.');
  return release;
}
