import { artifactByKey, inputsOf } from '../artifact/artifact-store.ts';
import { describeDifference, differenceOf } from '../artifact/key-difference.ts';
import type { MergeFacts } from '../path/unchanged.ts';
import type { Release } from '../release/release.ts';
import { releaseById } from '../release/release-store.ts';
import type { House } from './house.ts';

/** How the artifacts of a commit on a merged branch came to be, for the `unchanged` gate. */
export async function mergeFacts(
  house: House,
  release: Release,
  { name, environmentId, target }: { name: string; environmentId: string; target: (ref: string) => boolean },
): Promise<MergeFacts> {
  const mirror = await house.mirrorOf(release.repositoryId);
  const commit = await mirror.commit(release.commit);
  const refreshed = release.edition > 1;
  const branchHead = refreshed ? null : (commit.parents[1] ?? null);
  const before = await releaseBefore(house, release, branchHead);
  // asked first: what is taken in after this question is seen by those below
  const coming = await isComing(house, release.repositoryId, branchHead ?? release.commit, target);
  const services = await Promise.all(
    // a base that changed shows in what is built upon it
    release.services
      .filter(({ isBase }) => !isBase)
      .map(async ({ service, key }) => {
        const part = before?.services.find((one) => one.service === service);
        const testedBefore =
          (await wasOnAnotherBranch(house, release.repositoryId, key, target)) ||
          (await ranHere(house, environmentId, key));
        return {
          service,
          testedBefore,
          differences: testedBefore || part === undefined ? [] : await differences(house, part.key, key),
        };
      }),
  );
  const base = branchHead === null ? undefined : commit.parents[0];
  const lacked =
    base === undefined || branchHead === null ? [] : await mirror.log({ from: branchHead, to: base, limit: 20 });
  return {
    name,
    refreshed,
    branchHead,
    coming,
    services,
    lacked: lacked.map(({ sha, subject }) => `${sha.slice(0, 7)} ${subject}`),
  };
}

/** What the artifacts are compared with: those of the merged branch; of a later edition, those of the one before. */
async function releaseBefore(house: House, release: Release, branchHead: string | null): Promise<Release | null> {
  const { edition, repositoryId } = release;
  if (edition === 1 && branchHead === null) return null;
  let query = house.store.db
    .selectFrom('release')
    .select('id')
    .where('repository_id', '=', repositoryId)
    .where('commit_sha', '=', branchHead ?? release.commit)
    .where('mixed', '=', false);
  if (edition > 1) query = query.where('edition', '<', edition);
  const row = await query.orderBy('edition', 'desc').executeTakeFirst();
  return row === undefined ? null : releaseById(house.store.db, row.id);
}

/** Branch and merge may be seen at the same moment: a push of the branch at that commit is not taken in yet. */
async function isComing(
  house: House,
  repositoryId: string,
  commit: string,
  target: (ref: string) => boolean,
): Promise<boolean> {
  const rows = await house.store.db
    .selectFrom('ref_event')
    .select('ref')
    .where('repository_id', '=', repositoryId)
    .where('after_sha', '=', commit)
    .where('handled_at', 'is', null)
    .where('ref', 'like', 'refs/heads/%')
    .execute();
  return rows.some(({ ref }) => !target(ref));
}

/** Some branch other than the one that is merged to had this very artifact at its head: there it was tested. */
async function wasOnAnotherBranch(
  house: House,
  repositoryId: string,
  key: string,
  target: (ref: string) => boolean,
): Promise<boolean> {
  const rows = await house.store.db
    .selectFrom('release_service')
    .innerJoin('release', 'release.id', 'release_service.release_id')
    .innerJoin('release_name', 'release_name.release_id', 'release.id')
    .select('release_name.ref')
    .distinct()
    .where('release_service.artifact_key', '=', key)
    .where('release.repository_id', '=', repositoryId)
    .where('release_name.ref', 'like', 'refs/heads/%')
    .execute();
  return rows.some(({ ref }) => !target(ref));
}

/** It passed this gate before, or was the base line. */
async function ranHere(house: House, environmentId: string, key: string): Promise<boolean> {
  const row = await house.store.db
    .selectFrom('tenure')
    .innerJoin('release_service', 'release_service.release_id', 'tenure.release_id')
    .select('tenure.release_id')
    .where('tenure.environment_id', '=', environmentId)
    .where('release_service.artifact_key', '=', key)
    .executeTakeFirst();
  return row !== undefined;
}

async function differences(house: House, before: string, after: string): Promise<string[]> {
  const [one, other] = await Promise.all([artifactByKey(house.store.db, before), artifactByKey(house.store.db, after)]);
  if (one === null || other === null) return [];
  return differenceOf(inputsOf(one), inputsOf(other)).map(describeDifference);
}
