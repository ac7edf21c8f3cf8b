import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, deflate as deflateWith, deflateSync } from 'node:zlib';

import { git } from './git.ts';
import type { GitObject } from './object-reader.ts';

export type ObjectFormat = 'sha1' | 'sha256';

export function formatOf(oid: string): ObjectFormat {
  return oid.length === 64 ? 'sha256' : 'sha1';
}

/** The id of an object, as git computes it. */
export function oidOf(format: ObjectFormat, { type, bytes }: GitObject): string {
  return createHash(format).update(`${type} ${bytes.length}\0`).update(bytes).digest('hex');
}

/** An object as it goes into a pack. */
export interface PackedObject extends GitObject {
  /** Another that differs from it at one place alone, by so many bytes there: a folder in which one entry changed. */
  readonly like?: { readonly oid: string; readonly at: number; readonly length: number } | undefined;
}

/**
 * Puts a pack into a repository, all of its objects or none: a file for each would take some hundred trips to the
 * disk for a batch of promotions. It is only as durable as the folder: nothing is flushed to the disk.
 */
export async function storePack(gitDir: string, pack: Buffer): Promise<void> {
  await git(['index-pack', '--stdin', '--fix-thin'], {
    gitDir,
    directories: [gitDir],
    input: pack,
    config: [['core.fsync', 'none']],
  });
}

const deflate = promisify<Buffer, { level: number }, Buffer>(deflateWith);

/** Ids, of which folders are made, do not get smaller. */
const LEVEL = { level: constants.Z_BEST_SPEED };
/** Up to here it takes longer to hand the work to another thread. */
const SMALL_BYTES = 4096;
/** Up to here it gets hardly smaller; whoever keeps it packs it anew some day. */
const TINY_BYTES = 512;

const TYPES = { commit: 1, tree: 2, blob: 3, tag: 4 } as const;
const REF_DELTA = 7;

/** As in packs that git makes: who reads an object reads all that it is like. */
const DEEPEST = 50;

/**
 * Version 2. A pack is thin where an object is like one that is not in it: the repository that takes it has that.
 * @param objects by id, what others are like before them: what changes back is like what is like it
 * @see gitformat-pack(5)
 */
export async function packOf(format: ObjectFormat, objects: ReadonlyMap<string, PackedObject>): Promise<Buffer> {
  const head = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  head.writeUInt32BE(objects.size, 8);
  const depths = new Map<string, number>();
  const entries = await Promise.all(
    Array.from(objects, ([oid, object]) => {
      const below = depthOf(object, objects, depths);
      const isLike = below !== null && below < DEEPEST;
      depths.set(oid, isLike ? below + 1 : 0);
      return entryOf(isLike ? object : { ...object, like: undefined });
    }),
  );
  const pack = Buffer.concat([head, ...entries.flat()]);
  return Buffer.concat([pack, createHash(format).update(pack).digest()]);
}

/** How deep that is which an object is like; null where there is none, or it comes later. */
function depthOf(
  { like }: PackedObject,
  objects: ReadonlyMap<string, PackedObject>,
  depths: ReadonlyMap<string, number>,
): number | null {
  if (like === undefined) return null;
  return objects.has(like.oid) ? (depths.get(like.oid) ?? null) : 0;
}

async function entryOf({ type, bytes, like }: PackedObject): Promise<Buffer[]> {
  if (like === undefined) return [entryHead(TYPES[type], bytes.length), await deflated(bytes)];
  const delta = deltaOf(bytes, like);
  return [entryHead(REF_DELTA, delta.length), Buffer.from(like.oid, 'hex'), await deflated(delta)];
}

/** It stands as it is in the frame of zlib. @see RFC 1950, RFC 1951 section 3.2.4 */
function stored(bytes: Buffer): Buffer {
  const frame = Buffer.alloc(7);
  frame.writeUInt16BE(0x7801, 0);
  frame[2] = 1; // the last block, and no compression
  frame.writeUInt16LE(bytes.length, 3);
  frame.writeUInt16LE(bytes.length ^ 0xffff, 5);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(adler32(bytes));
  return Buffer.concat([frame, bytes, sum]);
}

function adler32(bytes: Buffer): number {
  let [one, sums] = [1, 0];
  for (const byte of bytes) {
    one = (one + byte) % 65_521;
    sums = (sums + one) % 65_521;
  }
  return sums * 65_536 + one;
}

async function deflated(bytes: Buffer): Promise<Buffer> {
  if (bytes.length <= TINY_BYTES) return stored(bytes);
  return bytes.length > SMALL_BYTES ? deflate(bytes, LEVEL) : deflateSync(bytes, LEVEL);
}

/** Both are as long: all before the place from there, the bytes at the place, all behind it from there. */
function deltaOf(bytes: Buffer, { at, length }: { readonly at: number; readonly length: number }): Buffer {
  const size = numberOf(bytes.length);
  const own = bytes.subarray(at, at + length);
  return Buffer.concat([size, size, ...copies(0, at), Buffer.of(length), own, ...copies(at + length, bytes.length)]);
}

const MOST_COPIED = 0xffff;

/** Four bytes of where, two of how much. */
function copies(from: number, to: number): Buffer[] {
  const all: Buffer[] = [];
  for (let at = from; at < to; at += MOST_COPIED) {
    const copy = Buffer.alloc(7);
    copy[0] = 0b1011_1111;
    copy.writeUInt32LE(at, 1);
    copy.writeUInt16LE(Math.min(MOST_COPIED, to - at), 5);
    all.push(copy);
  }
  return all;
}

/** In groups of seven bits, from the lowest. */
function numberOf(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

/** The type and the length: four bits of it beside the type, the others in groups of seven. */
function entryHead(type: number, length: number): Buffer {
  const first = (type << 4) | (length & 15);
  const rest = Math.floor(length / 16);
  return rest === 0 ? Buffer.of(first) : Buffer.concat([Buffer.of(first | 128), numberOf(rest)]);
}
