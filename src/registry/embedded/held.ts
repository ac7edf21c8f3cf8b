import { hasCode } from '../../lib/error.ts';
import type { HeldManifest } from '../content.ts';
import { parseManifest } from '../manifest.ts';
import type { BlobStore } from './blob-store.ts';
import type { RepositoryStore } from './repository-store.ts';

/** What the repositories hold. Looking at it does not make it younger, so that a sweep after it sees what it saw. */
export async function heldManifests(
  blobs: BlobStore,
  repositories: RepositoryStore,
  signal?: AbortSignal,
): Promise<HeldManifest[]> {
  const held: HeldManifest[] = [];
  for (const repository of await repositories.repositories()) {
    const tags = new Map<string, string[]>();
    for (const tag of (await repositories.tags(repository)) ?? []) {
      const digest = await repositories.tag(repository, tag);
      if (digest !== null) tags.set(digest, [...(tags.get(digest) ?? []), tag]);
    }
    for await (const { digest, mediaType, usedMs } of repositories.held(repository)) {
      signal?.throwIfAborted();
      const known = { repository, digest, tags: tags.get(digest) ?? [], usedMs };
      const bytes = await blobs.read(digest).catch((error: unknown) => {
        if (hasCode(error, 'registry.digest-mismatch')) return null; // a damaged one names nothing
        throw error;
      });
      const manifest = bytes === null ? null : parseManifest(bytes, mediaType);
      held.push({
        ...known,
        parts: manifest?.manifests.map((part) => part.digest) ?? [],
        subject: manifest?.subject?.digest ?? null,
        bytes: manifest?.blobs.reduce((sum, { size }) => sum + size, 0) ?? 0,
      });
    }
  }
  return held;
}
