import { createHash } from 'node:crypto';
import { inflateSync } from 'node:zlib';

import type { GitObject, ObjectType } from './object-reader.ts';
import { type ObjectFormat, oidOf } from './pack.ts';

const TYPES: Readonly<Record<number, ObjectType>> = { 1: 'commit', 2: 'tree', 3: 'blob', 4: 'tag' };
const REF_DELTA = 7;
const HEAD_BYTES = 12;

/**
 * What is in a small pack, by id, without git and without the disk: `git index-pack` takes a process. Objects that are described by
 * others come behind them there, or those are here already.
 * @param base an object that is here
 * @param mostBytes of all objects together
 * @see gitformat-pack(5)
 * @returns null where it cannot be read so: it is broken, too large, or a kind of pack that was not asked for
 */
export async function unpack(
  pack: Buffer,
  format: ObjectFormat,
  base: (oid: string) => Promise<GitObject | null>,
  mostBytes: number,
): Promise<ReadonlyMap<string, GitObject> | null> {
  const oidBytes = format === 'sha1' ? 20 : 32;
  const end = pack.length - oidBytes;
  if (end < HEAD_BYTES || pack.toString('latin1', 0, 8) !== 'PACK\0\0\0\x02') return null;
  if (!createHash(format).update(pack.subarray(0, end)).digest().equals(pack.subarray(end))) return null;
  const objects = new Map<string, GitObject>();
  let [at, bytes] = [HEAD_BYTES, 0];
  for (let left = pack.readUInt32BE(8); left > 0; left--) {
    const head = headAt(pack, at);
    if (head === null) return null;
    const like = head.type === REF_DELTA ? pack.toString('hex', head.end, head.end + oidBytes) : undefined;
    const packedAt = head.end + (like === undefined ? 0 : oidBytes);
    bytes += head.size;
    const found = packedAt < end && bytes <= mostBytes ? inflated(pack.subarray(packedAt, end), head.size) : null;
    if (found === null) return null;
    at = packedAt + found.read;
    const of = like === undefined ? undefined : (objects.get(like) ?? (await base(like)));
    const type = of?.type ?? TYPES[head.type];
    const whole = of ? applied(found.bytes, of.bytes, mostBytes - bytes) : found.bytes;
    if (of === null || type === undefined || whole === null) return null;
    bytes += of === undefined ? 0 : whole.length;
    objects.set(oidOf(format, { type, bytes: whole }), { type, bytes: whole });
  }
  return at === end ? objects : null;
}

interface Head {
  readonly type: number;
  /** Of what is packed, in bytes: an object, or how it differs from another. */
  readonly size: number;
  readonly end: number;
}

/** Three bits of type and four of size, the others of the size in groups of seven. */
function headAt(pack: Buffer, at: number): Head | null {
  const first = pack[at];
  if (first === undefined) return null;
  const type = (first >> 4) & 7;
  if (first < 128) return { type, size: first & 15, end: at + 1 };
  const rest = numberAt(pack, at + 1);
  return rest === null ? null : { type, size: (first & 15) + rest.value * 16, end: rest.end };
}

/** In groups of seven bits, from the lowest. */
function numberAt(bytes: Buffer, at: number): { readonly value: number; readonly end: number } | null {
  let [value, unit] = [0, 1];
  for (let here = at; here < at + 6; here++) {
    const byte = bytes[here];
    if (byte === undefined) return null;
    value += (byte & 127) * unit;
    if (byte < 128) return { value, end: here + 1 };
    unit *= 128;
  }
  return null; // nothing here is so large
}

/** @returns what comes out, and how many bytes went in; null where that is not of this size */
function inflated(packed: Buffer, size: number): { readonly bytes: Buffer; readonly read: number } | null {
  try {
    // What `info` adds is not in the types.
    const { buffer, engine } = inflateSync(packed, {
      info: true,
      maxOutputLength: Math.max(size, 1),
    }) as unknown as { readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } };
    return buffer.length === size ? { bytes: buffer, read: engine.bytesWritten } : null;
  } catch {
    return null;
  }
}

/** What a delta makes of an object. @returns null where it is no delta of it */
function applied(delta: Buffer, of: Buffer, mostBytes: number): Buffer | null {
  const before = numberAt(delta, 0);
  const after = before === null ? null : numberAt(delta, before.end);
  if (before?.value !== of.length || after === null || after.value > mostBytes) return null;
  const whole = Buffer.alloc(after.value);
  let length = 0;
  for (let at = after.end; at < delta.length;) {
    const command = delta[at] ?? 0;
    const copy = command < 128 ? { from: at + 1, many: command, end: at + 1 + command } : copyAt(delta, at);
    const part = (command < 128 ? delta : of).subarray(copy.from, copy.from + copy.many);
    if (command === 0 || part.length < copy.many || length + part.length > whole.length) return null;
    part.copy(whole, length);
    length += part.length;
    at = copy.end;
  }
  return length === whole.length ? whole : null;
}

/** A bit says of each byte of where and how many whether it stands there; one that does not is 0, and none of how many is 64 KiB. */
function copyAt(delta: Buffer, at: number): { readonly from: number; readonly many: number; readonly end: number } {
  const command = delta[at] ?? 0;
  const numbers = [0, 0];
  let end = at + 1;
  for (const [bit, index, unit] of COPY)
    if ((command & (1 << bit)) !== 0) numbers[index] = (numbers[index] ?? 0) + (delta[end++] ?? 0) * unit;
  const [from = 0, many = 0] = numbers;
  return { from, many: many === 0 ? 0x1_0000 : many, end };
}

/** Of each bit: which number it is of, and what a byte counts in it. */
const COPY: readonly (readonly [bit: number, index: 0 | 1, unit: number])[] = [
  [0, 0, 1],
  [1, 0, 2 ** 8],
  [2, 0, 2 ** 16],
  [3, 0, 2 ** 24],
  [4, 1, 1],
  [5, 1, 2 ** 8],
  [6, 1, 2 ** 16],
];
