import { each, eachOf } from '../../lib/each.ts';
import { RegistryError } from '../error.ts';
import type { ContentSweep, Swept } from '../content.ts';
import type { BlobStore } from './blob-store.ts';
import { isContentDigest } from './content-digest.ts';
import type { ContentDigest } from './content-digest.ts';
import { contentOf } from './held.ts';
import { AT_ONCE } from './limbo.ts';
import type { Limbo } from './limbo.ts';
import type { RepositoryStore } from './repository-store.ts';

interface SweptStores {
  readonly blobs: BlobStore;
  readonly repositories: RepositoryStore;
  readonly limbo: Limbo;
}

/** So many digests are remembered as marked; of more some are marked twice. */
const REMEMBERED = 200_000;

/**
 * Mark and sweep. The mark is the time of each file: what a tag or `kept` needs is taken into use, and then all goes that
 * nobody has used for long. So a kill leaves nothing but marks, and two sweeps at once do not disturb each other.
 * @throws RegistryError `registry.digest-mismatch` when a manifest that stays is damaged: nothing goes, for nobody knows
 * what belongs to it
 */
export async function sweepContent(stores: SweptStores, wish: ContentSweep): Promise<Swept> {
  const { kept, beforeMs, signal, passed = () => {} } = wish;
  const { blobs, repositories, limbo } = stores;
  const { mark, isMarked, isMarkedBlob } = marker(stores, wish);
  for (const repository of await repositories.repositories())
    await each(await repositories.tagged(repository), AT_ONCE, async ({ digest }) => mark(repository, digest));
  await eachOf(kept, AT_ONCE, async ({ repository, digest }) => mark(repository, digest));
  passed('mark');
  const names = await repositories.sweep({ beforeMs, isMarked, signal, moved: () => passed('name-aside') });
  passed('names');
  const content = await blobs.sweep({
    beforeMs,
    isMarked: isMarkedBlob,
    signal,
    moved: () => passed('blob-aside'),
  });
  await limbo.sweep(beforeMs);
  passed('blobs');
  return { files: content.files, bytes: names.bytes + content.bytes };
}

interface Parts {
  readonly blobs: readonly string[];
  readonly parts: readonly string[];
}

/**
 * Takes a manifest into use with all that belongs to it: its blobs, the manifests of an index, what speaks of it. What many
 * share is marked once.
 */
function marker({ blobs, repositories }: SweptStores, { known = [], signal }: ContentSweep) {
  const read = new Map(known.map((one) => [one.digest, one]));
  let marked = new Set<string>();
  let markedBlobs = new Set<string>();
  const subjects = new Map<string, Promise<ReadonlySet<string>>>();
  const keyOf = (kind: 'blob' | 'manifest', repository: string, digest: string) => `${kind} ${repository}@${digest}`;
  const isNew = (key: string): boolean => {
    if (marked.has(key)) return false;
    if (marked.size > REMEMBERED) [marked, markedBlobs] = [new Set(), new Set()];
    marked.add(key);
    return true;
  };
  const markBlob = async (digest: ContentDigest): Promise<boolean> => {
    if (markedBlobs.has(digest)) return true;
    if (!(await blobs.mark(digest))) return false;
    markedBlobs.add(digest);
    return true;
  };
  /** One look for a repository: a manifest that is spoken of from now on is taken into use by whoever speaks. */
  const isSpokenOf = async (repository: string, digest: string): Promise<boolean> => {
    const known = subjects.get(repository) ?? repositories.subjects(repository);
    subjects.set(repository, known);
    return (await known).has(digest);
  };

  const partsOf = async (repository: string, digest: ContentDigest): Promise<Parts> => {
    const before = read.get(digest);
    if (before !== undefined && before.blobs !== null) return { blobs: before.blobs, parts: before.parts };
    const content = await contentOf(blobs, digest);
    if (content === 'unreadable') throw unreadable(repository, digest);
    const digests = (all: readonly { readonly digest: string }[] = []) => all.map((one) => one.digest);
    return { blobs: digests(content?.blobs), parts: digests(content?.manifests) };
  };

  async function mark(repository: string, root: string): Promise<void> {
    const open = [root];
    for (let digest = open.pop(); digest !== undefined; digest = open.pop()) {
      signal?.throwIfAborted();
      if (!isContentDigest(digest) || !isNew(keyOf('manifest', repository, digest))) continue;
      if (!(await repositories.markManifest(repository, digest)) || !(await markBlob(digest))) continue;
      const { blobs: ofIt, parts } = await partsOf(repository, digest);
      for (const blob of ofIt)
        if (
          isContentDigest(blob) &&
          isNew(keyOf('blob', repository, blob)) &&
          (await repositories.markBlob(repository, blob))
        )
          await markBlob(blob);
      open.push(...parts);
      if (await isSpokenOf(repository, digest))
        open.push(...(await repositories.referrers(repository, digest)).map((referrer) => referrer.digest));
    }
  }

  return {
    mark,
    isMarked: (kind: 'blob' | 'manifest', repository: string, digest: string) =>
      marked.has(keyOf(kind, repository, digest)),
    isMarkedBlob: (digest: string) => markedBlobs.has(digest),
  };
}

function unreadable(repository: string, digest: string): RegistryError {
  return new RegistryError({
    code: 'registry.digest-mismatch',
    what: `The manifest ${digest} of ${repository} is damaged, so that nobody knows what belongs to it.`,
    fix: 'Push it again, or delete it: until then no content of the registry is removed.',
  });
}
