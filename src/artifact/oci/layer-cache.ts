import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

import { z } from 'zod';

import { hexOf, isDigest } from '../../lib/digest.ts';
import type { Digest } from '../../lib/digest.ts';
import { writeDurably } from '../../lib/durable-file.ts';
import type { Layer } from './layer.ts';

const Digest = z.custom<Digest>(isDigest);
const LayerRecord = z.object({ diffId: Digest, digest: Digest, size: z.number().int().positive() });

/**
 * Layers on this machine's disk, found by what they were made from. Losing any part of it costs time, never
 * correctness; several processes may share the folder.
 */
export interface LayerCache {
  /** What the layer of `key` is, though its bytes may be gone: a registry that has the blob needs no bytes. */
  find(key: string): Promise<Layer | null>;
  /** The bytes, or null when they are not here (any more). */
  open(layer: Layer): Promise<(() => Readable) | null>;
  /** Calls `write` with a fresh file; two calls for one key at the same moment write once. */
  make(key: string, write: (file: string) => Promise<Layer>): Promise<Layer>;
  /** Removes the bytes that were not used for the longest time until at most `maxBytes` are left. */
  prune(maxBytes: number): Promise<void>;
}

/** @param directory made when it is not there: `keys/` (records), `diffs/` (first blob seen of a tar), `blobs/` */
export function createLayerCache(directory: string): LayerCache {
  const under = (kind: 'keys' | 'diffs' | 'blobs', name: string) => join(directory, kind, name);
  const making = new Map<string, Promise<Layer>>();

  async function make(key: string, write: (file: string) => Promise<Layer>): Promise<Layer> {
    for (const kind of ['keys', 'diffs', 'blobs']) await mkdir(join(directory, kind), { recursive: true });
    const fresh = under('blobs', `.${randomBytes(8).toString('hex')}.part`);
    try {
      const made = await write(fresh);
      const layer = await firstSeen(made);
      if (!(await hasBytes(layer))) await rename(fresh, under('blobs', hexOf(layer.digest)));
      await saveRecord(under('diffs', hexOf(layer.diffId)), layer);
      await saveRecord(under('keys', key), layer);
      return layer;
    } finally {
      await rm(fresh, { force: true });
    }
  }

  /** The compressed form that this tar had before, so that another zlib does not give a known layer a second digest. */
  async function firstSeen(made: Layer): Promise<Layer> {
    const seen = await readRecord(under('diffs', hexOf(made.diffId)));
    return seen !== null && (seen.digest === made.digest || (await hasBytes(seen))) ? seen : made;
  }

  async function hasBytes(layer: Layer): Promise<boolean> {
    const found = await stat(under('blobs', hexOf(layer.digest))).catch(() => null);
    return found?.size === layer.size;
  }

  return {
    find: (key) => readRecord(under('keys', key)),
    open: async (layer) => {
      if (!(await hasBytes(layer))) return null;
      const file = under('blobs', hexOf(layer.digest));
      await utimes(file, new Date(), new Date()).catch(() => undefined);
      return () => createReadStream(file);
    },
    make: (key, write) => {
      const running = making.get(key);
      if (running) return running.catch(() => make(key, write)); // the other may have been called off, and we not
      const made = make(key, write).finally(() => making.delete(key));
      making.set(key, made);
      return made;
    },
    prune: async (maxBytes) => {
      const dayAgoMs = Date.now() - 24 * 3600_000;
      const all = await filesOf(join(directory, 'blobs'));
      const blobs = all.filter(({ name, usedMs }) => !name.endsWith('.part') || usedMs < dayAgoMs);
      let bytes = blobs.reduce((sum, { size }) => sum + size, 0);
      for (const { file, size } of blobs.sort((one, other) => one.usedMs - other.usedMs)) {
        if (bytes <= maxBytes) return;
        await rm(file, { force: true });
        bytes -= size;
      }
    },
  };
}

async function readRecord(file: string): Promise<Layer | null> {
  const text = await readFile(`${file}.json`, 'utf8').catch(() => null);
  if (text === null) return null;
  try {
    return LayerRecord.parse(JSON.parse(text));
  } catch {
    return null; // torn by a crash: the layer is made again
  }
}

async function saveRecord(file: string, layer: Layer): Promise<void> {
  await writeDurably(`${file}.json`, JSON.stringify(layer), 0o644);
}

async function filesOf(directory: string): Promise<{ name: string; file: string; size: number; usedMs: number }[]> {
  const names = await readdir(directory).catch(() => []);
  const found = await Promise.all(
    names.map(async (name) => {
      const file = join(directory, name);
      const seen = await stat(file).catch(() => null);
      return seen === null ? [] : [{ name, file, size: seen.size, usedMs: seen.mtimeMs }];
    }),
  );
  return found.flat();
}
