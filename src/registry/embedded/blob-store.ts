import { createHash } from 'node:crypto';
import { open, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import type { Swept } from '../content.ts';
import { readWhole } from '../../lib/files.ts';
import { digestMismatch } from '../verified.ts';
import { algorithmOf, pathOf } from './content-digest.ts';
import type { ContentDigest } from './content-digest.ts';
import type { DurableFiles } from './durable-file.ts';
import type { Limbo, Retiring } from './limbo.ts';
import { smallFiles } from './small-files.ts';

/** Content under its digest, shared by all repositories: which of them may see it is decided above. */
export interface BlobStore {
  /** Takes the content into use: what is there stays so for the time of grace. @returns the size in bytes, or null when there is none */
  size(digest: ContentDigest): Promise<number | null>;
  /** The whole of a small content, checked against its digest. @returns null when there is none */
  read(digest: ContentDigest): Promise<Buffer | null>;
  /** The same, taken into use. */
  use(digest: ContentDigest): Promise<Buffer | null>;
  /** The file with the content, unchecked: the reader knows the digest, and closes it. @returns null when there is none */
  open(digest: ContentDigest): Promise<FileHandle | null>;
  /** Takes bytes and keeps them only when they have the digest. @throws RegistryError `registry.digest-mismatch` */
  write(digest: ContentDigest, content: AsyncIterable<Uint8Array> | Uint8Array): Promise<void>;
  /** Takes a finished file; `computed` is the digest of its bytes. What lay there before is replaced: so a bad disk heals. */
  adopt(path: string, digest: ContentDigest, computed: string): Promise<void>;
  /** Marks for a sweep that the content is needed. @returns false when there is none */
  mark(digest: ContentDigest): Promise<boolean>;
  /** Removes what nobody has taken into use since `beforeMs`. */
  sweep(retiring: Retiring): Promise<Swept>;
}

export function openBlobStore(directory: string, files: DurableFiles, limbo: Limbo): BlobStore {
  // Two hex digits as a folder keep the folders small.
  const pathFor = (digest: ContentDigest) => {
    const path = pathOf(digest);
    return join(directory, path.slice(0, 7), path.slice(7, 9), path.slice(7));
  };

  const small = smallFiles();

  async function adopt(path: string, digest: ContentDigest, computed: string): Promise<void> {
    if (computed !== digest) {
      await unlink(path);
      throw digestMismatch(digest, computed);
    }
    const file = await open(path, 'r+');
    try {
      const now = new Date();
      await file.utimes(now, now); // its last part may have come long ago
      await file.sync();
    } finally {
      await file.close();
    }
    await files.place(path, pathFor(digest));
  }

  return {
    size: async (digest) => (await limbo.use(pathFor(digest)))?.size ?? null,
    adopt,
    mark: async (digest) => limbo.mark(pathFor(digest)),
    sweep: async (retiring) => limbo.retireBelow(directory, retiring),
    read: async (digest) => checked(digest, await limbo.find(pathFor(digest), () => readWhole(pathFor(digest)))),
    use: async (digest) => {
      const path = pathFor(digest);
      const seen = await limbo.use(path);
      return seen === null ? null : checked(digest, await limbo.find(path, () => small.read(path, seen)));
    },
    open: async (digest) => limbo.find(pathFor(digest), () => open(pathFor(digest), 'r')),
    write: async (digest, content) => {
      const path = files.temporary();
      const hash = createHash(algorithmOf(digest));
      const file = await open(path, 'wx', 0o640);
      try {
        const chunks = content instanceof Uint8Array ? [content] : content;
        for await (const chunk of chunks) {
          hash.update(chunk);
          await file.writeFile(chunk);
        }
      } catch (error) {
        await unlink(path);
        throw error;
      } finally {
        await file.close();
      }
      await adopt(path, digest, `${algorithmOf(digest)}:${hash.digest('hex')}`);
    },
  };
}

function checked(digest: ContentDigest, bytes: Buffer | null): Buffer | null {
  const computed = bytes === null ? digest : digestOf(bytes, digest);
  if (computed !== digest) throw digestMismatch(digest, computed);
  return bytes;
}

/** The digest of bytes by the algorithm that another digest has. */
export function digestOf(bytes: Uint8Array, like: ContentDigest): ContentDigest {
  const algorithm = algorithmOf(like);
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}
