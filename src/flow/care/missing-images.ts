import { type MissingImage, recordMissing } from '../../environment/missing-image-store.ts';
import { isWhole } from '../../registry/whole-image.ts';
import { recordEvent } from '../../store/event-store.ts';
import { placeIn } from '../copies.ts';
import type { House } from '../house.ts';
import { attemptEach } from './attempt.ts';
import type { PinnedImage } from './retention.ts';
import { type EnvironmentImages, retentionFacts } from './retention-facts.ts';

type Place = Pick<House, 'store' | 'registry' | 'registryAt' | 'bucket' | 'log'>;

/**
 * The alarm before somebody needs the image: what runs, and what can be rolled back to, is looked for in the registry, and in
 * the one that the environment takes its images from. A registry that does not answer says nothing: what was known stays known.
 */
export async function findMissingImages(house: Place): Promise<void> {
  const { store, log } = house;
  const projects = await store.db.selectFrom('project').select('id').execute();
  const isThere = remembering(house);
  await attemptEach(log, projects, 'looking for the images of a project', async ({ id: projectId }) => {
    const environments = await retentionFacts(store.db, [projectId]);
    await attemptEach(log, environments, 'looking for the images of an environment', async (environment) => {
      const missing = [...(await missingIn(environment, isThere)), ...(await missingCopies(house, environment))];
      await store.transaction(async (tx) => {
        const { gone, back } = await recordMissing(tx, environment.id, missing);
        const tell = (kind: string, image: MissingImage) =>
          recordEvent(tx, { projectId, kind, subject: environment.id, data: { ...image } });
        for (const image of gone) await tell('image.missing', image);
        for (const image of back) await tell('image.found', image);
      });
      for (const image of missing)
        log.error({ environment: environment.name, ...image }, 'an image that an environment needs is gone');
    });
  });
}

async function missingIn(
  { pins }: EnvironmentImages,
  isThere: (repository: string, image: PinnedImage) => Promise<boolean>,
): Promise<MissingImage[]> {
  const missing = new Map<string, MissingImage>();
  for (const pin of pins.toSorted((one, other) => one.release - other.release)) {
    const { release, repository, builtIn, digest } = pin;
    // where it was built it is as good: its names are given again from there
    if ((await isThere(repository, pin)) || (builtIn !== repository && (await isThere(builtIn, pin)))) continue;
    missing.set(`${repository}@${digest}`, { release, repository, digest });
  }
  return [...missing.values()];
}

async function missingCopies(house: Place, { registry, pins }: EnvironmentImages): Promise<MissingImage[]> {
  if (registry === null) return [];
  const missing: MissingImage[] = [];
  for (const { release, repository, digest, isBase } of pins) {
    if (isBase) continue;
    const place = placeIn(house, registry, repository);
    if (await isWhole(place.registry, place.repository, digest)) continue;
    missing.push({ release, repository: `${registry}/${repository}`, digest });
  }
  return missing;
}

/** Environments share images: each is looked for once. */
function remembering({
  registry,
  bucket,
}: Pick<House, 'registry' | 'bucket'>): (repository: string, image: PinnedImage) => Promise<boolean> {
  const known = new Map<string, Promise<boolean>>();
  return (repository, { digest }) => {
    const key = `${repository}@${digest}`;
    const answer = known.get(key) ?? isWhole(registry, repository, digest, bucket);
    known.set(key, answer);
    return answer;
  };
}
