import { each } from '../lib/each.ts';
import type { Digest } from '../lib/digest.ts';
import { applyTags, type TagPlan } from '../registry/image-names.ts';
import type { Registry } from '../registry/registry.ts';
import { shareImage } from '../registry/copy-image.ts';
import type { Release } from '../release/release.ts';

/** A release may have a thousand images; a registry is asked about so many at once. */
const AT_ONCE = 16;

/** Gives names to the images of a release, each in its own repository. Safe to repeat. @throws RegistryError as `applyTags` */
export async function nameImages(
  registry: Registry,
  { services }: Pick<Release, 'services'>,
  namesFor: (image: { readonly repository: string; readonly digest: Digest }) => readonly TagPlan[],
): Promise<void> {
  const images = services.flatMap(({ repository, builtIn, digest }) =>
    digest === null ? [] : [{ repository, builtIn, digest }],
  );
  await each(images, AT_ONCE, ({ repository, builtIn, digest }) =>
    shareImage(registry, { from: builtIn, to: repository, digest }),
  );
  await applyTags(images.flatMap(namesFor), registry);
}
