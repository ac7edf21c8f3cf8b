import { each } from '../../lib/each.ts';
import { hasCode } from '../../lib/error.ts';
import { keepTag, parseKeepTag } from '../../registry/keep-tag.ts';
import { beginRemoval } from '../../registry/removal-store.ts';
import type { Sql } from '../../store/database.ts';
import { bringCopy, placeIn } from '../copies.ts';
import type { House } from '../house.ts';
import { attemptEach } from './attempt.ts';
import { planRetention, type RetentionPlan } from './retention.ts';
import { namesakes, namesIn } from './retain-images.ts';
import { type EnvironmentImages, retentionFacts } from './retention-facts.ts';

type Place = Pick<House, 'store' | 'registry' | 'registryAt' | 'log'>;

const AT_ONCE = 4;
/** In one look: a promotion that copies into the same repository waits for it. */
const MOST_REMOVED = 50;

/**
 * What environments need in registries that are not ours: what runs and what can be rolled back to is there, whole and under its
 * name, with what was signed about it since; names beyond the window go. What has no name any more is that registry's own
 * affair. One registry that is away stops no other.
 */
export async function careForCopies(house: Place, signal: AbortSignal): Promise<void> {
  const { store, log } = house;
  await attemptEach(log, await namesakes(store.db), 'care of images in other registries', async (ids) => {
    const environments = await retentionFacts(store.db, ids);
    const registries = new Set(environments.flatMap(({ registry }) => registry ?? []));
    await attemptEach(log, [...registries], 'care of images in another registry', async (registry) => {
      await each(pinsOf(environments, registry), AT_ONCE, (pin) =>
        attemptEach(log, [{ ...pin, registry }], 'bringing an image to another registry', (copy) =>
          bringCopy(house, copy, { signal, log: () => undefined }),
        ),
      );
      for (const repository of await namesIn(store.db, ids)) {
        signal.throwIfAborted();
        await removeNames(house, ids, { registry, repository });
      }
    });
  });
}

function pinsOf(environments: readonly EnvironmentImages[], registry: string) {
  return environments
    .filter((environment) => environment.registry === registry)
    .flatMap(({ slug, pins }) =>
      pins.flatMap(({ release, repository, digest, isBase }) =>
        isBase ? [] : [{ repository, digest, tag: keepTag(slug, release) }],
      ),
    );
}

/**
 * While no promotion can give any there, and after one more look at what is needed. A registry that takes no name away alone is
 * asked once: names beyond the window are ever more there.
 */
async function removeNames(
  house: Place,
  ids: readonly string[],
  { registry, repository }: { readonly registry: string; readonly repository: string },
): Promise<void> {
  const there = placeIn(house, registry, repository);
  const tags = (await there.registry.tags(there.repository)).filter((tag) => parseKeepTag(tag) !== null);
  const plan = async (db: Sql): Promise<RetentionPlan['remove']> => {
    const environments = (await retentionFacts(db, ids)).filter((environment) => environment.registry === registry);
    return planRetention(environments, { repository, tags, building: true }).remove;
  };
  if ((await plan(house.store.db)).length === 0) return;
  await house.store.transaction(async (tx) => {
    await beginRemoval(tx, `${registry}/${repository}`);
    try {
      for (const { tag } of (await plan(tx)).slice(0, MOST_REMOVED))
        await there.registry.deleteManifest(there.repository, tag);
    } catch (error) {
      if (!hasCode(error, 'registry.unsupported')) throw error; // they stay, as in ours
    }
  });
}
