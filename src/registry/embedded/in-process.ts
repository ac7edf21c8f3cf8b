import { Readable } from 'node:stream';

import { isDigest } from '../../lib/digest.ts';
import type { Digest } from '../../lib/digest.ts';
import { RegistryError } from '../error.ts';
import { parseReferrers } from '../manifest.ts';
import { checkRepository, checkTag } from '../reference.ts';
import type { Registry } from '../registry.ts';
import { digestMismatch, verified } from '../verified.ts';
import type { BlobStore } from './blob-store.ts';
import type { ContentDigest } from './content-digest.ts';
import type { ManifestStore } from './manifest-store.ts';
import type { RepositoryStore } from './repository-store.ts';

/** The store spoken to without HTTP, by the server that owns it. */
export function inProcessRegistry(
  host: string,
  blobs: BlobStore,
  repositories: RepositoryStore,
  manifests: ManifestStore,
): Registry {
  return {
    host,
    manifest: async (repository, reference) => {
      checkName(repository, reference);
      const found = await manifests.read(repository, reference);
      return found === null ? null : { ...found, digest: sha256Only(found.digest) };
    },
    putManifest: async (repository, reference, { mediaType, bytes }) => {
      checkName(repository, reference);
      return sha256Only((await manifests.put({ repository, reference, bytes, mediaType, own: true })).digest);
    },
    tag: async (repository, digest, tag) => {
      checkName(repository, tag);
      return manifests.tag(repository, digest, tag);
    },
    hasBlob: async (repository, digest) => {
      checkRepository(repository);
      return (await repositories.hasBlob(repository, digest)) ? blobs.size(digest) : null;
    },
    readBlob: async (repository, digest) => {
      checkRepository(repository);
      const held = await repositories.hasBlob(repository, digest);
      const content = held && (await blobs.size(digest)) !== null ? await blobs.open(digest) : null;
      if (content === null) throw noBlob(repository, digest);
      return Readable.from(verified(content.createReadStream({ highWaterMark: 256 * 1024 }), digest), {
        objectMode: false,
      });
    },
    // Content that another repository brought is linked, not written again: this caller owns the whole store.
    writeBlob: async (repository, { digest, size, open }) => {
      checkRepository(repository);
      if ((await blobs.size(digest)) !== size) {
        const content = open();
        if (content instanceof Readable) content.on('error', () => {}); // it may fail before anyone reads
        await blobs.write(digest, sized(content instanceof Readable ? content : [content], digest, size));
      }
      await repositories.addBlob(repository, digest);
    },
    mountBlob: async (repository, digest, from) => {
      checkRepository(repository);
      checkRepository(from);
      if (!(await repositories.hasBlob(from, digest)) || (await blobs.size(digest)) === null) return false;
      await repositories.addBlob(repository, digest);
      return true;
    },
    tags: async (repository) => {
      checkRepository(repository);
      return (await repositories.tags(repository)) ?? [];
    },
    deleteManifest: async (repository, reference) => {
      checkName(repository, reference);
      await manifests.remove(repository, reference);
    },
    referrers: async (repository, digest, artifactType) => {
      checkRepository(repository);
      const index = { manifests: await repositories.referrers(repository, digest) };
      const found = parseReferrers(Buffer.from(JSON.stringify(index)));
      return found.filter((one) => artifactType === undefined || one.artifactType === artifactType);
    },
  };
}

async function* sized(
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  digest: Digest,
  size: number,
): AsyncGenerator<Uint8Array> {
  let total = 0;
  for await (const chunk of content) {
    total += chunk.length;
    yield chunk;
  }
  if (total !== size) throw digestMismatch(`${digest} with ${size} bytes`, `of ${total} bytes`);
}

function checkName(repository: string, reference: string): void {
  checkRepository(repository);
  if (!isDigest(reference)) checkTag(reference);
}

function sha256Only(digest: ContentDigest): Digest {
  if (isDigest(digest)) return digest;
  throw new RegistryError({
    code: 'registry.unsupported',
    what: `The manifest ${digest.slice(0, 20)}... was stored under sha512.`,
    fix: 'Push it again by its tag: Towpath itself speaks sha256 only.',
  });
}

function noBlob(repository: string, digest: Digest): RegistryError {
  return new RegistryError({
    code: 'registry.not-found',
    what: `${repository} has no blob ${digest}.`,
    fix: 'Push the artifact again; the store may have lost it.',
  });
}
