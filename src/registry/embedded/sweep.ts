import { RegistryError } from '../error.ts';
import type { ContentSweep, Swept } from '../content.ts';
import type { BlobStore } from './blob-store.ts';
import { isContentDigest } from './content-digest.ts';
import type { Limbo } from './limbo.ts';
import type { ManifestStore } from './manifest-store.ts';
import type { RepositoryStore } from './repository-store.ts';

interface SweptStores {
  readonly blobs: BlobStore;
  readonly repositories: RepositoryStore;
  readonly manifests: ManifestStore;
  readonly limbo: Limbo;
}

/** So many digests are remembered as seen; a repository with more has some of them looked at twice. */
const REMEMBERED = 50_000;

/**
 * Mark and sweep. The mark is the time of each file: what a tag or `kept` needs is taken into use, and then all goes that
 * nobody has used for long. So nothing is held in memory, a kill leaves nothing but marks, and two sweeps at once do not
 * disturb each other.
 * @throws RegistryError `registry.digest-mismatch` when a manifest that stays is damaged: nothing goes, for nobody knows
 * what belongs to it
 */
export async function sweepContent(stores: SweptStores, { kept, beforeMs, signal }: ContentSweep): Promise<Swept> {
  const { blobs, repositories, manifests, limbo } = stores;
  let seen = new Set<string>();
  const mark = async (repository: string, digest: string): Promise<void> => {
    signal?.throwIfAborted();
    if (seen.size > REMEMBERED) seen = new Set();
    if (!isContentDigest(digest)) return;
    const { damaged } = await manifests.keep(repository, digest, seen);
    if (damaged[0] !== undefined) throw unreadable(repository, damaged[0]);
  };
  for (const repository of await repositories.repositories()) {
    seen = new Set();
    for await (const digest of repositories.tagged(repository)) await mark(repository, digest);
  }
  let last = '';
  for await (const { repository, digest } of kept) {
    if (repository !== last) seen = new Set();
    last = repository;
    await mark(repository, digest);
  }
  const names = await repositories.sweep(beforeMs, signal);
  const content = await blobs.sweep(beforeMs, signal);
  await limbo.sweep(beforeMs);
  return { files: content.files, bytes: names.bytes + content.bytes };
}

function unreadable(repository: string, digest: string): RegistryError {
  return new RegistryError({
    code: 'registry.digest-mismatch',
    what: `The manifest ${digest} of ${repository} is damaged, so that nobody knows what belongs to it.`,
    fix: 'Push it again, or delete it: until then no content of the registry is removed.',
  });
}
