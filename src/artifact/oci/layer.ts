import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

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
 * So much tar goes into one gzip member. Members are compressed at the same time on all cores and follow each other in
 * the file, which gzip allows (RFC 1952, 2.2) and every reader of layers knows from seekable layers.
 */
const MEMBER_BYTES = 4 * 1024 * 1024;
const MEMBERS_AT_ONCE = 4;
/** What zlib hands over at a time; it changes how often it is asked, not what it writes. */
const PIECE_BYTES = 1024 * 1024;

const compress = promisify(gzip);

/**
 * Writes the items, in byte order of their paths and with the folders above them, as a gzipped tar. The order in which
 * they come does not matter; a path that comes twice keeps the last.
 * @param file is made anew and flushed to disk
 */
export async function writeLayer(items: Iterable<LayerItem>, file: string, signal: AbortSignal): Promise<Layer> {
  const tarHash = createHash('sha256');
  const blobHash = createHash('sha256');
  let size = 0;
  const output = await open(file, 'wx');
  try {
    for await (const member of compressed(tarChunks(inOrder(items), tarHash))) {
      signal.throwIfAborted();
      blobHash.update(member);
      size += member.length;
      await output.writeFile(member);
    }
    await output.sync();
  } finally {
    await output.close();
  }
  return { diffId: `sha256:${tarHash.digest('hex')}`, digest: `sha256:${blobHash.digest('hex')}`, size };
}

/** Each chunk as a gzip member, in order, a few of them in work at once. */
async function* compressed(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const running: Promise<Buffer>[] = [];
  for await (const chunk of chunks) {
    const member = compress(chunk, { level: GZIP_LEVEL, chunkSize: PIECE_BYTES });
    member.catch(() => undefined); // it is awaited below; until then its failure is nobody's
    running.push(member);
    if (running.length >= MEMBERS_AT_ONCE) yield plain(await running.shift());
  }
  for (const member of running) yield plain(await member);
}

/** zlib writes the system it runs on into the header: "unknown" is the same everywhere. */
function plain(member: Buffer = Buffer.alloc(0)): Buffer {
  if (member.length > 9) member[9] = 255;
  return member;
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

/** The tar, cut after an entry when a member is full. */
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
    if (length >= MEMBER_BYTES) yield flush();
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
