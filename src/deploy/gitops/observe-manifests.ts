import type { Digest } from '../../lib/digest.ts';
import type { Observed, Target } from '../driver.ts';
import { targetKey } from '../rollout.ts';
import { placeName } from './config.ts';
import type { GitopsParts } from './gitops.ts';
import type { ImagePlace } from './image-place.ts';
import { digestAt, standingAgainst } from './standing.ts';
import { knownTarget, type TargetPlace } from './target-store.ts';
import { tell } from './watch/tell.ts';

/** What stands in the repository for a target, and what is told of it where somebody is asked. */
export async function observeManifests(
  { store, writerOf, clusterOf }: Pick<GitopsParts, 'store' | 'writerOf' | 'clusterOf'>,
  target: Target,
): Promise<Observed> {
  const known = await knownTarget(store.db, targetKey(target));
  if (known === null) return { services: {} };
  const { operation, success } = known;
  const writer = await writerOf(known.repository);
  const branch = known.branch === '' ? null : known.branch;
  const head = await writer.head(branch);
  const draft = head === null ? null : await writer.draft(head.oid);
  const seen: { readonly service: string; readonly place: ImagePlace; readonly digest: Digest | null }[] = [];
  for (const [service, places] of Object.entries(known.services))
    for (const place of places)
      seen.push({ service, place, digest: draft === null ? null : await digestAt(draft, place) });
  const images = seen.flatMap(({ place, digest }) => (digest === null ? [] : [{ place, digest }]));
  const standingOf = standingAgainst(writer, { branch, commit: null, images });
  const waitsFor = known.request?.waitsFor ?? null;
  const told =
    waitsFor !== null
      ? { by: 'Its request', isGood: false, says: `waits for ${waitsFor}` }
      : await tell({ success, clusterOf, digests: images.map(({ digest }) => digest), standingOf });
  const of = (service: string): Observed['services'][string] => ({
    replicas: [],
    written: seen
      .filter((one) => one.service === service)
      .map(({ place, digest }) => ({ place: fullName(known, place), digest, operation })),
    ...(told && { told }),
  });
  return { services: Object.fromEntries(Object.keys(known.services).map((service) => [service, of(service)])) };
}

/** It tells a place apart from those of other branches and repositories. */
export function fullName(
  { repository, branch }: Pick<TargetPlace, 'repository' | 'branch'>,
  place: ImagePlace,
): string {
  return `${repository.url}#${branch} ${placeName(place)}`;
}
