import { ensureBaseLayers } from '../artifact/oci/push.ts';
import { isDigest, type Digest } from '../lib/digest.ts';
import { RegistryError } from './error.ts';
import { isForeign, parseManifest } from './manifest.ts';
import type { Registry } from './registry.ts';

/**
 * Makes sure that an image lies in a repository, with all that it is made of: two services of equal contents share one
 * artifact, and each has its names in a repository of its own. Content is mounted where the registry can, else copied.
 * Does nothing when it is there.
 * @throws RegistryError `registry.not-found` when it is not in `from` either
 */
export async function shareImage(
  registry: Registry,
  { from, to, digest }: { readonly from: string; readonly to: string; readonly digest: Digest },
): Promise<void> {
  if (from === to || (await registry.manifest(to, digest)) !== null) return;
  const manifest = await registry.manifest(from, digest);
  if (manifest === null) {
    throw new RegistryError({
      code: 'registry.not-found',
      what: `The image ${digest} is not in ${from} any more, so ${to} cannot have it.`,
      fix: 'Build it again: `towpath build` with the release.',
    });
  }
  const { blobs, manifests } = parseManifest(manifest.bytes, manifest.mediaType);
  for (const part of manifests)
    if (isDigest(part.digest)) await shareImage(registry, { from, to, digest: part.digest });
  const own = blobs.flatMap((blob) =>
    isForeign(blob) || !isDigest(blob.digest) ? [] : [{ ...blob, digest: blob.digest }],
  );
  await ensureBaseLayers(registry, to, own, { images: registry, repository: from });
  await registry.putManifest(to, digest, manifest);
}
