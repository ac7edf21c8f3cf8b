import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import type { Digest } from '../../lib/digest.ts';
import { tarEnd, tarHeader, tarPadding } from './tar-writer.ts';
import type { LayerEntry } from './tar-writer.ts';

/** A finished layer. `diffId` is over the tar, `digest` over the compressed bytes: the first names the content. */
export interface Layer {
  readonly diffId: Digest;
  readonly digest: Digest;
  /** Compressed. */
  readonly size: number;
}

/** A file of a layer and how to get its bytes, when its turn comes. */
export type LayerItem =
  | Exclude<LayerEntry, { kind: 'file' }>
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly executable: boolean;
      readonly read: () => Promise<Buffer>;
    };

export const LAYER_MEDIA_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** Level 6 gives the same bytes on all Node lines from 18 to 26; its speed and size are the usual compromise. */
const GZIP_LEVEL = 6;

/**
 * Writes the items, in byte order of their paths and with the folders above them, as a gzipped tar. The order in which
 * they come does not matter; a path that comes twice keeps the last.
 * @param file is made anew and flushed to disk
 */
export async function writeLayer(items: Iterable<LayerItem>, file: string, signal: AbortSignal): Promise<Layer> {
  const tarHash = createHash('sha256');
  const blobHash = createHash('sha256');
  let size = 0;
  const compressed = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (size === 0 && chunk.length > 9) chunk[9] = 255; // "unknown system": zlib writes another one on macOS
      blobHash.update(chunk);
      size += chunk.length;
      done(null, chunk);
    },
  });
  await pipeline(
    Readable.from(tarChunks(inOrder(items), tarHash), { objectMode: false, highWaterMark: 1024 * 1024 }),
    createGzip({ level: GZIP_LEVEL, chunkSize: 256 * 1024 }),
    compressed,
    createWriteStream(file, { flags: 'wx' }),
    { signal },
  );
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { diffId: `sha256:${tarHash.digest('hex')}`, digest: `sha256:${blobHash.digest('hex')}`, size };
}

/** The items sorted, each folder that they need once, a later item of a path instead of an earlier one. */
export function inOrder(items: Iterable<LayerItem>): LayerItem[] {
  const byPath = new Map<string, LayerItem>();
  const folders = new Map<string, LayerItem>();
  for (const item of items) {
    byPath.set(item.path, item);
    for (let cut = item.path.lastIndexOf('/'); cut > 0; cut = item.path.lastIndexOf('/', cut - 1)) {
      const path = item.path.slice(0, cut);
      if (folders.has(path)) break;
      folders.set(path, { kind: 'folder', path });
    }
  }
  const all = new Map([...folders, ...byPath]);
  return [...all.values()].sort((one, other) => (one.path < other.path ? -1 : 1));
}

/** Chunks of about a megabyte: thousands of small files would else cross the stream one by one. */
async function* tarChunks(
  items: readonly LayerItem[],
  hash: { update(bytes: Buffer): unknown },
): AsyncGenerator<Buffer> {
  let pending: Buffer[] = [];
  let length = 0;
  const flush = (): Buffer => {
    const chunk = Buffer.concat(pending);
    pending = [];
    length = 0;
    hash.update(chunk);
    return chunk;
  };
  for (const item of items) {
    const pieces = await tarPieces(item);
    pending.push(...pieces);
    for (const piece of pieces) length += piece.length;
    if (length >= 1024 * 1024) yield flush();
  }
  pending.push(tarEnd());
  yield flush();
}

async function tarPieces(item: LayerItem): Promise<Buffer[]> {
  if (item.kind !== 'file') return [tarHeader(item)];
  const body = await item.read();
  const { path, executable } = item;
  return [tarHeader({ kind: 'file', path, executable, size: body.length }), body, tarPadding(body.length)];
}
