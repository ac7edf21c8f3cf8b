import { hasCode } from '../../lib/error.ts';
import { RegistryError } from '../error.ts';
import { describeReferrer, isForeign, parseManifest } from '../manifest.ts';
import type { ParsedManifest, Reference } from '../manifest.ts';
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
  /** @throws RegistryError `registry.not-found`, `registry.content-missing`, `registry.tag-immutable` */
  tag(repository: string, digest: ContentDigest, tag: string): Promise<'tagged' | 'unchanged'>;
  /**
   * Takes a manifest into use with all that belongs to it: its blobs, the manifests of an index, and what refers to them.
   * @throws RegistryError `registry.digest-mismatch` when it is damaged
   */
  keep(repository: string, digest: ContentDigest): Promise<Kept>;
  /** By tag: the name alone goes. By digest: the manifest with all its tags. @returns false when there was none */
  remove(repository: string, reference: string): Promise<boolean>;
  /** A tag that Towpath gave to something that needs this tag, manifest or blob; null when there is none. */
  ownNeeding(repository: string, reference: string): Promise<string | null>;
}

export interface Kept {
  /** False when the repository does not hold the manifest. */
  readonly held: boolean;
  /** What belongs into it and is not there, or damaged. */
  readonly missing: readonly string[];
}

export interface PutManifest {
  readonly repository: string;
  readonly reference: string;
  readonly bytes: Buffer;
  readonly mediaType: string | null;
  readonly tags?: readonly string[];
  /** Towpath itself names it, so nobody else moves the tags. */
  readonly own?: boolean;
}

/** May this tag of this repository never name a second digest? */
export type Immutable = (tag: string, repository: string) => boolean;

export function openManifestStore(
  blobs: BlobStore,
  repositories: RepositoryStore,
  immutable: Immutable,
  reserved: Immutable = () => false,
): ManifestStore {
  async function named(repository: string, reference: string): Promise<ContentDigest | null> {
    if (!isContentDigest(reference)) return repositories.tag(repository, reference);
    await keep(repository, reference); // whoever asks by digest may build upon the answer
    return reference;
  }

  /** By tag it is not taken into use: it would outlive its parts, half an image, where the tag goes a moment later. */
  async function look(repository: string, reference: string) {
    const digest = await named(repository, reference);
    return digest === null ? null : read(repository, digest, isContentDigest(reference) ? 'use' : 'read');
  }

  async function read(repository: string, digest: ContentDigest, how: 'use' | 'read' = 'use') {
    const mediaType = await repositories.manifestType(repository, digest);
    const bytes = mediaType === null ? null : await blobs[how](digest);
    return mediaType === null || bytes === null ? null : { digest, mediaType, bytes };
  }

  /** Whole, that is: what is damaged heals when it is put again. */
  async function isThere(digest: ContentDigest): Promise<boolean> {
    return (await blobs.use(digest).catch(() => null)) !== null;
  }

  /** What is wrong with a blob that a manifest names; null when it is there. */
  async function wrongWith(repository: string, blob: Reference): Promise<string | null> {
    const digest = checkContentDigest(blob.digest);
    const size = (await repositories.hasBlob(repository, digest)) ? await blobs.size(digest) : null;
    if (size === blob.size || (size === null && isForeign(blob))) return null;
    return size === null ? digest : `${digest} (${size} bytes, not ${blob.size})`;
  }

  async function keep(repository: string, root: ContentDigest): Promise<Kept> {
    let held = false;
    const seen = new Set<string>();
    const missing: string[] = [];
    // its own parts are taken from the end, before what refers to them
    const open: { digest: string; own: boolean }[] = [{ digest: root, own: true }];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { digest, own } = next;
      if (!isContentDigest(digest) || seen.has(digest)) continue;
      seen.add(digest);
      const found = await read(repository, digest).catch((error: unknown) => {
        if (digest === root || !hasCode(error, 'registry.digest-mismatch')) throw error;
        return null; // as good as gone
      });
      if (found === null) {
        if (own) missing.push(digest);
        continue;
      }
      if (digest === root) held = true;
      const manifest = parseManifest(found.bytes, found.mediaType);
      const wrong = await Promise.all(manifest.blobs.map((blob) => wrongWith(repository, blob)));
      if (own) missing.push(...wrong.filter((one) => one !== null));
      open.push(...manifest.manifests.map((child) => ({ digest: child.digest, own })));
      const referrers = await repositories.referrers(repository, digest);
      open.unshift(...referrers.map((referrer) => ({ digest: referrer.digest, own: false })));
    }
    return { held, missing };
  }

  async function requireParts(repository: string, manifest: ParsedManifest): Promise<void> {
    const wrong = await Promise.all(manifest.blobs.map((blob) => wrongWith(repository, blob)));
    requireNone(
      repository,
      wrong.filter((one) => one !== null),
    );
    for (const child of manifest.manifests) {
      const digest = checkContentDigest(child.digest);
      const { held, missing } = await keep(repository, digest);
      const size = held ? await blobs.size(digest) : null;
      requireNone(repository, size === null || size === child.size ? missing : [digest]);
    }
  }

  async function setTag(repository: string, tag: string, digest: ContentDigest, own: boolean) {
    return repositories.setTag(repository, tag, digest, { fixed: immutable(tag, repository), own });
  }

  async function isPartOf(
    repository: string,
    root: ContentDigest,
    digest: string,
    seen: Set<string>,
  ): Promise<boolean> {
    if (root === digest) return true;
    if (seen.has(root)) return false;
    seen.add(root);
    const found = await read(repository, root).catch(() => null); // a damaged one has no known parts
    if (found === null) return false;
    const { blobs: parts, manifests } = parseManifest(found.bytes, found.mediaType);
    if (parts.some((part) => part.digest === digest)) return true;
    for (const child of manifests)
      if (isContentDigest(child.digest) && (await isPartOf(repository, child.digest, digest, seen))) return true;
    return false;
  }

  return {
    find: async (repository, reference) => {
      const found = await look(repository, reference);
      return found === null ? null : { digest: found.digest, mediaType: found.mediaType, size: found.bytes.length };
    },
    keep,
    read: look,
    put: async ({ repository, reference, bytes, mediaType, tags = [], own = false }) => {
      const byDigest = reference.includes(':');
      const digest = byDigest ? checkContentDigest(reference) : digestOf(bytes, 'sha256:');
      const names = [...(byDigest ? [] : [reference]), ...tags];
      for (const tag of names) checkTag(tag);
      if (!own) requireFree(repository, names, reserved);
      const manifest = parseManifest(bytes, mediaType);
      await requireParts(repository, manifest);
      if (!(await isThere(digest))) await blobs.write(digest, bytes);
      if (manifest.subject !== null) {
        const descriptor = describeReferrer(manifest, digest, bytes.length);
        await repositories.addReferrer(repository, manifest.subject.digest, digest, descriptor);
      }
      await repositories.addManifest(repository, digest, manifest.mediaType);
      for (const referrer of await repositories.referrers(repository, digest))
        // those that were there before it
        if (isContentDigest(referrer.digest)) await keep(repository, referrer.digest);
      for (const tag of names) await setTag(repository, tag, digest, own);
      return { digest, manifest };
    },
    tag: async (repository, digest, tag) => {
      // a tag keeps what it names from every sweep; of a thousand images a push changes one, and the branch names all of them.
      // What is about to run somewhere is looked at each time: that it is whole has to be known before anything is touched.
      if (!reserved(tag, repository) && (await repositories.isOwnTag(repository, tag, digest))) return 'unchanged';
      const { held, missing } = await keep(repository, digest);
      if (!held) throw noManifest(repository, digest);
      requireNone(repository, missing);
      return setTag(repository, tag, digest, true);
    },
    ownNeeding: async (repository, reference) => {
      const seen = new Set<string>();
      for (const { tag, digest, own } of await repositories.tagged(repository)) {
        if (own !== true) continue;
        if (tag === reference || (await isPartOf(repository, digest, reference, seen))) return tag;
      }
      return null;
    },
    remove: async (repository, reference) => {
      if (!isContentDigest(reference)) return repositories.removeTag(repository, reference);
      const mediaType = await repositories.manifestType(repository, reference);
      if (mediaType === null) return false;
      for (const { tag, digest } of await repositories.tagged(repository))
        if (digest === reference) await repositories.removeTag(repository, tag);
      const bytes = await blobs.read(reference).catch(() => null); // a damaged manifest can be removed too
      await repositories.removeManifest(repository, reference);
      const subject = bytes === null ? null : parseManifest(bytes, mediaType).subject;
      if (subject !== null) await repositories.removeReferrer(repository, subject.digest, reference);
      return true;
    },
  };
}

function requireFree(repository: string, tags: readonly string[], reserved: Immutable): void {
  const taken = tags.find((tag) => reserved(tag, repository));
  if (taken === undefined) return;
  throw new RegistryError({
    code: 'registry.tag-immutable',
    what: `Tags such as "${taken}" are given by Towpath alone: they say what runs in an environment, or is kept for it.`,
    fix: 'Push under another tag, or by digest.',
  });
}

function requireNone(repository: string, missing: readonly string[]): void {
  if (missing.length === 0) return;
  throw new RegistryError({
    code: 'registry.content-missing',
    what: `${repository} does not hold what the manifest names: ${missing.slice(0, 5).join(', ')}.`,
    fix: 'Push the blobs first, then the manifests of an index, then the index.',
  });
}

function noManifest(repository: string, digest: ContentDigest): RegistryError {
  return new RegistryError({
    code: 'registry.not-found',
    what: `${repository} has no manifest ${digest}.`,
    fix: 'Build or push the artifact first; a tag can only name what is there.',
  });
}
