import { RegistryError } from '../error.ts';
import { describeReferrer, isForeign, parseManifest } from '../manifest.ts';
import type { ParsedManifest } from '../manifest.ts';
import { checkTag } from '../reference.ts';
import { digestOf } from './blob-store.ts';
import type { BlobStore } from './blob-store.ts';
import { checkContentDigest, isContentDigest } from './content-digest.ts';
import type { ContentDigest } from './content-digest.ts';
import type { RepositoryStore } from './repository-store.ts';

/** Manifests and their names. What is not whole is refused: a manifest is stored only when all that it names is there. */
export interface ManifestStore {
  /** @param reference tag or digest. @returns null when there is none; the bytes are checked against the digest */
  read(
    repository: string,
    reference: string,
  ): Promise<{ digest: ContentDigest; mediaType: string; bytes: Buffer } | null>;
  /** The same without its bytes. */
  find(
    repository: string,
    reference: string,
  ): Promise<{ digest: ContentDigest; mediaType: string; size: number } | null>;
  /**
   * Stores the bytes as they are, then gives them their names: after a kill between the two the same call repairs all.
   * @param tags further tags
   * @throws RegistryError `registry.manifest-invalid`, `registry.content-missing`, `registry.digest-mismatch`,
   *   `registry.tag-immutable`
   */
  put(request: PutManifest): Promise<{ digest: ContentDigest; manifest: ParsedManifest }>;
  tag(repository: string, digest: ContentDigest, tag: string): Promise<'tagged' | 'unchanged'>;
  /** By tag: the name alone goes. By digest: the manifest with all its tags. @returns false when there was none */
  remove(repository: string, reference: string): Promise<boolean>;
}

export interface PutManifest {
  readonly repository: string;
  readonly reference: string;
  readonly bytes: Buffer;
  readonly mediaType: string | null;
  readonly tags?: readonly string[];
}

/** May this tag of this repository never name a second digest? */
export type Immutable = (tag: string, repository: string) => boolean;

export function openManifestStore(
  blobs: BlobStore,
  repositories: RepositoryStore,
  immutable: Immutable,
): ManifestStore {
  async function find(repository: string, reference: string) {
    const digest = isContentDigest(reference) ? reference : await repositories.tag(repository, reference);
    if (digest === null) return null;
    const mediaType = await repositories.manifestType(repository, digest);
    const size = mediaType === null ? null : await blobs.size(digest);
    return mediaType === null || size === null ? null : { digest, mediaType, size };
  }

  async function requireParts(repository: string, manifest: ParsedManifest): Promise<void> {
    const lost = await Promise.all([
      ...manifest.blobs.map(async (blob) => {
        const digest = checkContentDigest(blob.digest);
        const size = (await repositories.hasBlob(repository, digest)) ? await blobs.size(digest) : null;
        if (size === blob.size || (size === null && isForeign(blob))) return [];
        return [size === null ? digest : `${digest} (${size} bytes, not ${blob.size})`];
      }),
      ...manifest.manifests.map(async (child) => {
        const held = await find(repository, checkContentDigest(child.digest));
        return held?.size === child.size ? [] : [child.digest];
      }),
    ]);
    const [first, ...rest] = lost.flat();
    if (first === undefined) return;
    throw new RegistryError({
      code: 'registry.content-missing',
      what: `${repository} does not hold what the manifest names: ${[first, ...rest.slice(0, 4)].join(', ')}.`,
      fix: 'Push the blobs first, then the manifests of an index, then the index.',
    });
  }

  async function setTag(repository: string, tag: string, digest: ContentDigest): Promise<'tagged' | 'unchanged'> {
    return repositories.setTag(repository, tag, digest, immutable(tag, repository));
  }

  return {
    find,
    read: async (repository, reference) => {
      const found = await find(repository, reference);
      const bytes = found === null ? null : await blobs.read(found.digest);
      return found === null || bytes === null ? null : { digest: found.digest, mediaType: found.mediaType, bytes };
    },
    put: async ({ repository, reference, bytes, mediaType, tags = [] }) => {
      const manifest = parseManifest(bytes, mediaType);
      const byDigest = reference.includes(':');
      const digest = byDigest ? checkContentDigest(reference) : digestOf(bytes, 'sha256:');
      const names = [...(byDigest ? [] : [reference]), ...tags];
      for (const tag of names) checkTag(tag);
      await requireParts(repository, manifest);
      await blobs.write(digest, bytes);
      if (manifest.subject !== null) {
        const descriptor = describeReferrer(manifest, digest, bytes.length);
        await repositories.addReferrer(repository, manifest.subject.digest, digest, descriptor);
      }
      await repositories.addManifest(repository, digest, manifest.mediaType);
      for (const tag of names) await setTag(repository, tag, digest);
      return { digest, manifest };
    },
    tag: async (repository, digest, tag) => setTag(repository, tag, digest),
    remove: async (repository, reference) => {
      if (!isContentDigest(reference)) return repositories.removeTag(repository, reference);
      const mediaType = await repositories.manifestType(repository, reference);
      if (mediaType === null) return false;
      for (const tag of (await repositories.tags(repository)) ?? []) {
        if ((await repositories.tag(repository, tag)) === reference) await repositories.removeTag(repository, tag);
      }
      const bytes = await blobs.read(reference).catch(() => null); // a damaged manifest can be removed too
      await repositories.removeManifest(repository, reference);
      const subject = bytes === null ? null : parseManifest(bytes, mediaType).subject;
      if (subject !== null) await repositories.removeReferrer(repository, subject.digest, reference);
      return true;
    },
  };
}
