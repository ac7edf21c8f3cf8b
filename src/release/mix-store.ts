import type { Sql } from '../store/database.ts';
import { findRelease } from './find-store.ts';
import { fingerprintOf, planMix, type Release, ReleaseError, type ReleaseService, stateOf } from './release.ts';
import { twinKey, yanksOf } from './yank-store.ts';

/** The parts of a mix. @param chosen service -> release, as people name it @throws ReleaseError for what is not there */
export async function partsOfMix(
  db: Sql,
  base: Release,
  chosen: Readonly<Record<string, string>>,
): Promise<ReleaseService[]> {
  const found = await Promise.all(
    Object.entries(chosen).map(async ([service, word]) => {
      const from = await findRelease(db, base.projectId, word);
      if (from.repositoryId !== base.repositoryId) throw otherRepository(service, word);
      return [service, from.services] as const;
    }),
  );
  return planMix(base.services, Object.fromEntries(found));
}

function otherRepository(service: string, word: string): ReleaseError {
  return new ReleaseError({
    code: 'release.other-repository',
    what: `"${word}", named for "${service}", is a release of another repository than the rest of the mix.`,
    fix: 'Each repository has its own place in an environment: promote a release of each, one after the other.',
  });
}

/** The release that a mix would be, with nothing stored: it has no id yet, and its base's number. */
export async function draftMix(db: Sql, base: Release, services: readonly ReleaseService[]): Promise<Release> {
  const fingerprint = fingerprintOf(Object.fromEntries(services.map(({ service, key }) => [service, key])));
  const twin = { project_id: base.projectId, fingerprint };
  const yank = (await yanksOf(db, [twin])).get(twinKey(twin)) ?? null;
  return { ...base, ...stateOf(services), id: '', mixed: true, fingerprint, yank, services };
}
