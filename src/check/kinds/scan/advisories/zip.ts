import { type FileHandle, open } from 'node:fs/promises';
import { crc32, inflateRawSync } from 'node:zlib';

import { CheckError } from '../../../error.ts';

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const END_BYTES = 22;
const LONGEST_COMMENT = 0xffff;
const NOT_SAID = 0xffffffff;
const MOST_DIRECTORY_BYTES = 512 * 1024 * 1024;
const LOCAL_BYTES = 30;
const WINDOW_BYTES = 128 * 1024;

/** Where a file of a zip lies: kept, so that it is found again without a look at the others. */
export interface ZipEntry {
  readonly name: string;
  readonly at: number;
  readonly packedBytes: number;
  readonly bytes: number;
  readonly method: number;
  readonly crc: number;
}

export interface Zip {
  readonly entries: () => Promise<readonly ZipEntry[]>;
  /** @throws CheckError also for one that is larger than the limit, or damaged */
  readonly read: (entry: ZipEntry, limitBytes: number) => Promise<string>;
}

/**
 * Works with a zip on disk, of any size (zip64) and without reading it whole; those of osv.dev have hundreds of thousands of files.
 * @throws CheckError `check.advisories-broken`, and whatever `work` throws
 * @see https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
export async function withZip<Result>(path: string, work: (zip: Zip) => Promise<Result>): Promise<Result> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const read = windowed(file, size, path);
    return await work({
      entries: async () => entriesIn(await readDirectory(file, size, path), path),
      read: (entry, limitBytes) => readEntry(read, entry, limitBytes, path),
    });
  } finally {
    await file.close();
  }
}

interface Directory {
  readonly bytes: Buffer;
  readonly count: number;
}

async function readDirectory(file: FileHandle, size: number, path: string): Promise<Directory> {
  const tailAt = Math.max(0, size - END_BYTES - LONGEST_COMMENT);
  const tail = await readAt(file, tailAt, size - tailAt, path);
  let end = tail.length - END_BYTES;
  while (end >= 0 && tail.readUInt32LE(end) !== END) end--;
  if (end < 0) throw broken(path, 'it does not end as a zip does');
  let [count, bytes, at] = [tail.readUInt16LE(end + 10), tail.readUInt32LE(end + 12), tail.readUInt32LE(end + 16)];
  if ((bytes === NOT_SAID || at === NOT_SAID || count === 0xffff) && end >= 20) {
    if (tail.readUInt32LE(end - 20) !== LOCATOR_64) throw broken(path, 'the place of its directory is not said');
    const end64 = await readAt(file, numberIn(tail, end - 12, path), 56, path);
    if (end64.readUInt32LE(0) !== END_64) throw broken(path, 'its directory is not where it should be');
    [count, bytes, at] = [numberIn(end64, 32, path), numberIn(end64, 40, path), numberIn(end64, 48, path)];
  }
  if (bytes > MOST_DIRECTORY_BYTES) throw broken(path, 'its directory is too large');
  return { bytes: await readAt(file, at, bytes, path), count };
}

function entriesIn({ bytes: directory, count }: Directory, path: string): ZipEntry[] {
  const entries: ZipEntry[] = [];
  for (let at = 0; at < directory.length;) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== CENTRAL)
      throw broken(path, 'its directory is cut off');
    const [name, extra, comment] = [28, 30, 32].map((field) => directory.readUInt16LE(at + field)) as [
      number,
      number,
      number,
    ];
    const extraAt = at + 46 + name;
    const next = extraAt + extra + comment;
    if (next > directory.length) throw broken(path, 'its directory is cut off');
    const large = zip64Of(directory.subarray(extraAt, extraAt + extra), path);
    const said = (field: number): number => {
      const value = directory.readUInt32LE(at + field);
      return value === NOT_SAID ? large() : value;
    };
    const bytes = said(24); // in this order they follow each other where they are large
    const packedBytes = said(20);
    entries.push({
      name: directory.toString('utf8', at + 46, extraAt),
      at: said(42),
      packedBytes,
      bytes,
      method: directory.readUInt16LE(at + 10),
      crc: directory.readUInt32LE(at + 16),
    });
    at = next;
  }
  if (entries.length !== count) throw broken(path, `it has ${entries.length} files in place of ${count}`);
  return entries;
}

/** The numbers that do not fit where they belong, one after another. */
function zip64Of(extra: Buffer, path: string): () => number {
  let at = 0;
  while (at + 4 <= extra.length && extra.readUInt16LE(at) !== 1) at += 4 + extra.readUInt16LE(at + 2);
  at += 4;
  return () => {
    if (at + 8 > extra.length) throw broken(path, 'an entry does not say where it is');
    at += 8;
    return numberIn(extra, at - 8, path);
  };
}

type ReadAt = (at: number, length: number) => Promise<Buffer>;

/** Those who read what follows each other read from the disk once in a while, and let others work meanwhile. */
function windowed(file: FileHandle, size: number, path: string): ReadAt {
  let from = 0;
  let window: Buffer = Buffer.alloc(0);
  return async (at, length) => {
    if (at < from || at + length > from + window.length) {
      const wanted = Math.max(length, Math.min(WINDOW_BYTES, size - at));
      window = await readAt(file, at, wanted, path);
      from = at;
    }
    return window.subarray(at - from, at - from + length);
  };
}

async function readEntry(read: ReadAt, entry: ZipEntry, limitBytes: number, path: string): Promise<string> {
  const { name, at, packedBytes, bytes, method, crc } = entry;
  if (bytes > limitBytes || packedBytes > limitBytes) throw broken(path, `${name} is too large`);
  const head = await read(at, LOCAL_BYTES);
  if (head.readUInt32LE(0) !== LOCAL) throw broken(path, `${name} is not where it should be`);
  const from = at + LOCAL_BYTES + head.readUInt16LE(26) + head.readUInt16LE(28);
  const packed = await read(from, packedBytes);
  const body = unpack(packed, method, bytes);
  if (body === null || body.length !== bytes || crc32(body) !== crc) throw broken(path, `${name} is damaged`);
  return body.toString('utf8');
}

function unpack(packed: Buffer, method: number, bytes: number): Buffer | null {
  if (method === 0) return packed;
  if (method !== 8) return null;
  try {
    return inflateRawSync(packed, { maxOutputLength: Math.max(bytes, 1) });
  } catch {
    return null;
  }
}

async function readAt(file: FileHandle, at: number, length: number, path: string): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
  if (bytesRead !== length) throw broken(path, 'it is cut off');
  return buffer;
}

function numberIn(bytes: Buffer, at: number, path: string): number {
  const value = Number(bytes.readBigUInt64LE(at));
  if (!Number.isSafeInteger(value)) throw broken(path, 'a number in it is too large');
  return value;
}

function broken(path: string, why: string): CheckError {
  return new CheckError({
    code: 'check.advisories-broken',
    what: `The advisories in ${path} cannot be read: ${why}.`,
    fix: 'Fetch the zip again; docs/guide/vulnerabilities.md says from where.',
  });
}
