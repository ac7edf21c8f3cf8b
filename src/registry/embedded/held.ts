import { hasCode } from '../../lib/error.ts';
import { each } from '../../lib/each.ts';
import { groupBy } from '../../lib/group.ts';
import type { HeldManifest } from '../content.ts';
import { parseManifest } from '../manifest.ts';
import type { ParsedManifest } from '../manifest.ts';
import type { BlobStore } from './blob-store.ts';
import type { ContentDigest } from './content-digest.ts';
import { AT_ONCE } from './limbo.ts';
import { inLexicalOrder } from './pages.ts';
import type { RepositoryStore } from './repository-store.ts';

/** What the repositories hold. Looking at it does not make it younger, so that a sweep after it sees what it saw. */
export async function heldManifests(
  blobs: BlobStore,
  repositories: RepositoryStore,
  signal?: AbortSignal,
): Promise<HeldManifest[]> {
  const held: HeldManifest[] = [];
  for (const repository of await repositories.repositories()) {
    const tags = groupBy(await repositories.tagged(repository), ({ digest }) => digest);
    await each(await repositories.held(repository), AT_ONCE, async ({ digest, usedMs }) => {
      signal?.throwIfAborted();
      const content = await contentOf(blobs, digest);
      const manifest = content === 'unreadable' ? null : content; // a damaged one names nothing
      held.push({
        repository,
        digest,
        tags: (tags.get(digest) ?? []).map(({ tag }) => tag).sort(inLexicalOrder),
        parts: manifest?.manifests.map((part) => part.digest) ?? [],
        blobs: manifest?.blobs.map((blob) => blob.digest) ?? null,
        subject: manifest?.subject?.digest ?? null,
        bytes: manifest?.blobs.reduce((sum, { size }) => sum + size, 0) ?? 0,
        usedMs,
      });
    });
  }
  return held.sort(byName);
}

/** What a manifest names: null when it is gone, `unreadable` when it is damaged. */
export async function contentOf(
  blobs: BlobStore,
  digest: ContentDigest,
): Promise<ParsedManifest | 'unreadable' | null> {
  try {
    const bytes = await blobs.read(digest);
    return bytes === null ? null : parseManifest(bytes, null); // its type was looked at when it was put
  } catch (error) {
    if (hasCode(error, 'registry.digest-mismatch')) return 'unreadable';
    throw error;
  }
}

function byName(one: HeldManifest, other: HeldManifest): number {
  return one.repository === other.repository
    ? one.digest < other.digest
      ? -1
      : 1
    : one.repository < other.repository
      ? -1
      : 1;
}
