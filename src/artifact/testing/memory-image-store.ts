import { Readable } from 'node:stream';

import { sha256 } from '../../lib/digest.ts';
import type { ImageManifestBytes, ImageStore } from '../image-store.ts';

/** An image store in memory that keeps the contract, and counts what was asked of it. */
export interface MemoryImageStore extends ImageStore {
  readonly blobs: ReadonlyMap<string, Buffer>;
  readonly counts: { questions: number; uploadedBytes: number; manifests: number };
}

export function memoryImageStore(): MemoryImageStore {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, ImageManifestBytes>();
  const counts = { questions: 0, uploadedBytes: 0, manifests: 0 };
  const at = (repository: string, name: string) => `${repository}@${name}`;
  return {
    blobs,
    counts,
    manifest: async (repository, reference) => manifests.get(at(repository, reference)) ?? null,
    putManifest: async (repository, reference, { mediaType, bytes }) => {
      const digest = sha256(bytes);
      if (reference.startsWith('sha256:') && reference !== digest) throw new Error('The digest does not match.');
      const json = JSON.parse(bytes.toString('utf8')) as { config: { digest: string }; layers: { digest: string }[] };
      for (const { digest: blob } of [json.config, ...json.layers])
        if (!blobs.has(at(repository, blob))) throw new Error(`The blob ${blob} is missing in ${repository}.`);
      for (const name of [reference, digest]) manifests.set(at(repository, name), { digest, mediaType, bytes });
      counts.manifests += 1;
      return digest;
    },
    hasBlob: async (repository, digest) => {
      counts.questions += 1;
      return blobs.get(at(repository, digest))?.length ?? null;
    },
    readBlob: async (repository, digest) => {
      const bytes = blobs.get(at(repository, digest));
      if (!bytes) throw new Error(`There is no blob ${digest} in ${repository}.`);
      return Readable.from([bytes]);
    },
    writeBlob: async (repository, { digest, size, open }) => {
      if (blobs.has(at(repository, digest))) return;
      const bytes = await collect(open());
      if (bytes.length !== size || sha256(bytes) !== digest) throw new Error(`The blob ${digest} is not what it says.`);
      blobs.set(at(repository, digest), bytes);
      counts.uploadedBytes += size;
    },
    mountBlob: async (repository, digest, from) => {
      const bytes = blobs.get(at(from, digest));
      if (bytes) blobs.set(at(repository, digest), bytes);
      return bytes !== undefined;
    },
  };
}

async function collect(content: Readable | Buffer): Promise<Buffer> {
  if (Buffer.isBuffer(content)) return content;
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}
