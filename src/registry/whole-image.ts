import type { BlobPlace } from '../artifact/image-store.ts';
import { readFunctionManifest } from '../artifact/zip/function-manifest.ts';
import { isDigest } from '../lib/digest.ts';
import type { Digest } from '../lib/digest.ts';
import { hasCode } from '../lib/error.ts';
import { isForeign, parseManifest } from './manifest.ts';
import type { Registry } from './registry.ts';

/**
 * Whether an image can be pulled: its manifest with its digest, its config and all layers; of an index, each of its images;
 * of a function whose zips rest in a bucket, these.
 * @throws RegistryError when the registry does not say
 */
export async function isWhole(
  registry: Registry,
  repository: string,
  digest: Digest,
  bucket: BlobPlace | null = null,
): Promise<boolean> {
  const found = await registry.manifest(repository, digest).catch((error: unknown) => {
    if (hasCode(error, 'registry.digest-mismatch', 'registry.manifest-invalid')) return null; // damaged is as good as gone
    throw error;
  });
  if (found === null) return false;
  const { blobs, manifests } = parseManifest(found.bytes, found.mediaType);
  for (const blob of blobs) {
    if (!isDigest(blob.digest) || isForeign(blob)) continue;
    if ((await registry.hasBlob(repository, blob.digest)) !== blob.size) return false;
  }
  const code = readFunctionManifest(found.bytes);
  for (const zip of code?.rest === 'bucket' ? code.zips : [])
    if ((await bucket?.hasBlob(repository, zip.digest)) !== zip.size) return false;
  for (const part of manifests)
    if (isDigest(part.digest) && !(await isWhole(registry, repository, part.digest))) return false;
  return true;
}
