import { sql } from 'kysely';

import { artifactByKey, inputsOf } from '../artifact/artifact-store.ts';
import { describeDifference, differenceOf } from '../artifact/key-difference.ts';
import type { MergeFacts } from '../path/unchanged.ts';
import type { Release } from '../release/release.ts';
import { releasesByIds } from '../release/release-store.ts';
import type { House } from './house.ts';

/** How the artifacts of a commit on a merged branch came to be, for the `unchanged` gate. */
export async function mergeFacts(house: House, release: Release, name: string): Promise<MergeFacts> {
  const mirror = await house.mirrorOf(release.repositoryId);
  const commit = await mirror.commit(release.commit);
  const branchHead = commit.parents[1] ?? null;
  const branch = branchHead === null ? null : await releaseOfCommit(house, release.repositoryId, branchHead);
  const services = await Promise.all(
    release.services.map(async ({ service, key, builtFor }) => {
      const before = branch?.services.find((one) => one.service === service);
      // built for another commit: some branch had this very artifact; built for this one: only if it was a branch's head too
      const testedBefore =
        builtFor !== release.commit || (branchHead === null && (await wasOnAnotherBranch(house, release)));
      return {
        service,
        testedBefore,
        differences: testedBefore || before === undefined ? [] : await differences(house, before.key, key),
      };
    }),
  );
  const base = branchHead === null ? undefined : commit.parents[0];
  const lacked =
    base === undefined || branchHead === null ? [] : await mirror.log({ from: branchHead, to: base, limit: 20 });
  return { name, branchHead, services, lacked: lacked.map(({ sha, subject }) => `${sha.slice(0, 7)} ${subject}`) };
}

async function releaseOfCommit(house: House, repositoryId: string, commit: string): Promise<Release | null> {
  const row = await house.store.db
    .selectFrom('release')
    .select('id')
    .where('repository_id', '=', repositoryId)
    .where('commit_sha', '=', commit)
    .where('mixed', '=', false)
    .executeTakeFirst();
  return row === undefined ? null : ((await releasesByIds(house.store.db, [row.id]))[0] ?? null);
}

/** A fast-forward: the very commit was the head of a branch other than the default one. */
async function wasOnAnotherBranch(house: House, release: Release): Promise<boolean> {
  const row = await house.store.db
    .selectFrom('release_name')
    .innerJoin('release', 'release.id', 'release_name.release_id')
    .innerJoin('repository', 'repository.id', 'release.repository_id')
    .select('release_name.ref')
    .where('release_name.release_id', '=', release.id)
    .where('release_name.ref', 'like', 'refs/heads/%')
    .where('release_name.ref', '<>', sql<string>`'refs/heads/' || repository.default_branch`)
    .executeTakeFirst();
  return row !== undefined;
}

async function differences(house: House, before: string, after: string): Promise<string[]> {
  const [one, other] = await Promise.all([artifactByKey(house.store.db, before), artifactByKey(house.store.db, after)]);
  if (one === null || other === null) return [];
  return differenceOf(inputsOf(one), inputsOf(other)).map(describeDifference);
}
