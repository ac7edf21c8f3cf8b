import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { addAbortSignal } from 'node:stream';
import type { Readable } from 'node:stream';

import { hasCode } from '../../lib/error.ts';
import { newId } from '../../lib/ids.ts';
import { RegistryError } from '../error.ts';
import { keyedQueue } from '../keyed-queue.ts';
import type { BlobStore } from './blob-store.ts';
import { algorithmOf } from './content-digest.ts';
import type { ContentDigest } from './content-digest.ts';
import { isAbsent, makeFolder, removeOlder } from './durable-file.ts';
import { gathering } from './gathering.ts';
import { blobTooLarge, DEFAULT_LIMITS, tooManyUploads } from './limits.ts';
import type { Limits } from './limits.ts';
import { runningHash } from './running-hash.ts';
import type { RunningHash } from './running-hash.ts';

/**
 * Uploads that are under way: one file each, whose length is the only state. So an upload goes on after a kill where
 * the file ends, in whichever process of the machine; what the hash lost then is read again from the file.
 */
export interface Uploads {
  /** @throws RegistryError `registry.throttled` */
  begin(repository: string): Promise<string>;
  /** @returns how many bytes have come, or null when there is no such upload */
  size(repository: string, id: string): Promise<number | null>;
  /**
   * Adds bytes; what came before a broken connection stays. A newer request for the same upload ends an older one, which
   * may hang on a connection that is dead already.
   * @param start where the sender believes to be; null when it does not say
   * @returns how many bytes there are now
   * @throws RegistryError `registry.upload-range`, `registry.not-found`; `registry.too-large`, and then nothing is left of it
   */
  append(repository: string, id: string, content: Readable, start: number | null): Promise<number>;
  /** Makes a blob of the upload; with the wrong digest nothing is left of it. @throws RegistryError `registry.digest-mismatch` */
  finish(repository: string, id: string, digest: ContentDigest): Promise<void>;
  cancel(repository: string, id: string): Promise<boolean>;
  /** Drops uploads that nobody has added to since `beforeMs`. @returns how many */
  sweep(beforeMs: number): Promise<number>;
}

const ID = /^upl_[0-9a-z]{26}$/;

export function openUploads(directory: string, blobs: BlobStore, limits: Limits = DEFAULT_LIMITS): Uploads {
  /** The running hash of uploads that this process has seen from their first byte. */
  const hashes = new Map<string, { readonly hash: RunningHash; readonly size: number }>();
  const inTurn = keyedQueue();
  const senders = new Map<string, AbortController>();

  // One flat folder: the repository's name with its slashes made into `+`, which no name has.
  const fileOf = (repository: string, id: string) => join(directory, repository.replaceAll('/', '+'), id);

  async function size(repository: string, id: string): Promise<number | null> {
    if (!ID.test(id)) return null;
    try {
      return (await stat(fileOf(repository, id))).size;
    } catch (error) {
      if (isAbsent(error)) return null;
      throw error;
    }
  }

  async function sizeOf(repository: string, id: string): Promise<number> {
    const bytes = await size(repository, id);
    if (bytes !== null) return bytes;
    throw new RegistryError({
      code: 'registry.not-found',
      what: `There is no upload "${id.slice(0, 60)}" in ${repository}.`,
      fix: 'Begin the upload anew: it was finished, cancelled or left for too long.',
    });
  }

  /** Ends the request that adds to the upload now, and waits until it has ended. */
  async function alone<T>(id: string, act: () => Promise<T>): Promise<T> {
    senders.get(id)?.abort();
    return inTurn(id, act);
  }

  async function append(repository: string, id: string, content: Readable, start: number | null) {
    const before = await sizeOf(repository, id);
    if (start !== null && start !== before) throw outOfOrder(start, before);
    const file = await open(fileOf(repository, id), 'a', 0o640);
    if (hashes.get(id)?.size !== before) forget(id);
    const hash = hashes.get(id)?.hash ?? (before === 0 ? runningHash() : null);
    hashes.delete(id); // until it is sure that the file has all that the hash has
    let total = before;
    const sender = new AbortController();
    senders.set(id, sender);
    const sink = gathering(file, hash);
    try {
      // A request that is destroyed takes its connection along: what stopped the writing is still to be answered.
      const chunks = addAbortSignal(sender.signal, content).iterator({ destroyOnReturn: false });
      for await (const chunk of chunks as AsyncIterable<Buffer>) {
        if (total + chunk.length > limits.blobBytes) throw blobTooLarge(limits);
        total += chunk.length;
        await sink.write(chunk);
      }
    } finally {
      senders.delete(id);
      await sink.end().catch((error: unknown) => {
        hash?.drop();
        throw error;
      });
      if (hash !== null) hashes.set(id, { hash, size: total });
    }
    return total;
  }

  /** Each is a file, so that they are the same for all processes, and after a restart. */
  async function countOf(project: string): Promise<number> {
    const folders = (await readdir(directory)).filter((name) => name === project || name.startsWith(`${project}+`));
    const counts = await Promise.all(folders.map(async (name) => (await readdir(join(directory, name))).length));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async function computedDigest(path: string, id: string, bytes: number, digest: ContentDigest): Promise<string> {
    const algorithm = algorithmOf(digest);
    const running = hashes.get(id);
    const known = algorithm === 'sha256' && running?.size === bytes ? await running.hash.digest() : null;
    if (known !== null) return `sha256:${known}`;
    const hash = createHash(algorithm);
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer);
    return `${algorithm}:${hash.digest('hex')}`;
  }

  function forget(id: string): void {
    hashes.get(id)?.hash.drop();
    hashes.delete(id);
  }

  async function cancel(repository: string, id: string): Promise<boolean> {
    forget(id);
    if (!ID.test(id)) return false;
    try {
      await unlink(fileOf(repository, id));
      return true;
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  }

  return {
    size,
    begin: async (repository) => {
      const [project = repository] = repository.split('/');
      if ((await countOf(project)) >= limits.uploadsPerProject) throw tooManyUploads(project, limits);
      const id = newId('upl');
      await makeFolder(dirname(fileOf(repository, id)));
      await (await open(fileOf(repository, id), 'wx', 0o640)).close();
      return id;
    },
    append: async (repository, id, content, start) =>
      alone(id, () =>
        append(repository, id, content, start).catch(async (error: unknown) => {
          if (hasCode(error, 'registry.too-large')) await cancel(repository, id);
          throw error;
        }),
      ),
    finish: async (repository, id, digest) =>
      alone(id, async () => {
        const bytes = await sizeOf(repository, id);
        const path = fileOf(repository, id);
        try {
          await blobs.adopt(path, digest, await computedDigest(path, id, bytes, digest));
        } finally {
          forget(id);
        }
      }),
    cancel: async (repository, id) => alone(id, () => cancel(repository, id)),
    sweep: async (beforeMs) => {
      const dropped = await removeOlder(directory, beforeMs);
      for (const id of dropped) forget(id);
      return dropped.length;
    },
  };
}

function outOfOrder(start: number, size: number): RegistryError {
  return new RegistryError({
    code: 'registry.upload-range',
    what: `The part begins at byte ${start}; the upload has ${size} bytes.`,
    fix: `Go on from byte ${size}, as the Range header says.`,
  });
}
