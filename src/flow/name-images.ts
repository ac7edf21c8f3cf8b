import { each } from '../lib/each.ts';
import type { Digest } from '../lib/digest.ts';
import { applyTags, type TagPlan } from '../registry/image-names.ts';
import { awaitRemovals } from '../registry/removal-store.ts';
import { shareImage } from '../registry/copy-image.ts';
import type { Release } from '../release/release.ts';
import type { House } from './house.ts';

/** A release may have a thousand images; a registry is asked about so many at once. */
const AT_ONCE = 16;

/** Gives names to the images of a release, each in its own repository. Safe to repeat. @throws RegistryError as `applyTags` */
export async function nameImages(
  { registry, store }: Pick<House, 'registry' | 'store'>,
  { services }: Pick<Release, 'services'>,
  namesFor: (image: { readonly repository: string; readonly digest: Digest }) => readonly TagPlan[],
): Promise<void> {
  const images = services.flatMap(({ repository, builtIn, digest }) =>
    digest === null ? [] : [{ repository, builtIn, digest }],
  );
  // an image may be removed where it was not built, and names anywhere
  await awaitRemovals(
    store,
    images.map(({ repository }) => repository),
  );
  await each(images, AT_ONCE, ({ repository, builtIn, digest }) =>
    shareImage(registry, { from: builtIn, to: repository, digest }),
  );
  await applyTags(images.flatMap(namesFor), registry);
}
