import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { setImmediate as breathe } from 'node:timers/promises';
import { crc32 } from 'node:zlib';

import { Deflate } from 'fflate';

import type { Digest } from '../../lib/digest.ts';
import { ArtifactError } from '../artifact-error.ts';
import { inOrder, type LayerItem } from '../oci/layer.ts';

export interface WrittenZip {
  readonly digest: Digest;
  readonly size: number;
}

export interface ZipLimits {
  /** Bytes of all files, unzipped. */
  readonly maxBytes: number;
  readonly maxFiles: number;
}

/** What Lambda takes, with its layers: 250 MB. More than 65,535 files would need zip64, which not every reader knows. */
export const LAMBDA_LIMITS: ZipLimits = { maxBytes: 250 * 1024 * 1024, maxFiles: 65_535 };

const LEVEL = 6;
const PIECE_BYTES = 1024 * 1024;

const STORED = 0;
const DEFLATED = 8;
/** Bit 11: names are UTF-8. */
const FLAGS = 0x0800;
const VERSION = 20;
/** Modes are those of Unix. */
const MADE_BY = (3 << 8) | VERSION;
/** 1980-01-01, the beginning of time for a zip; midnight. */
const DATE = (1 << 5) | 1;

/**
 * Writes files and links, in the order of their paths, as a zip: no folders, no extra fields, no clock, and modes 0755 or
 * 0644. Deflated in JavaScript: the compressor of Node differs between processors and may between versions.
 * @param file is made anew and flushed to disk
 * @throws ArtifactError `artifact.zip-too-large`, `artifact.zip-name`
 * @see PKWARE APPNOTE 6.3.10
 */
export async function writeZip(
  items: Iterable<LayerItem>,
  file: string,
  { limits = LAMBDA_LIMITS, signal }: { readonly limits?: ZipLimits; readonly signal: AbortSignal },
): Promise<WrittenZip> {
  const hash = createHash('sha256');
  const output = await open(file, 'wx');
  let size = 0;
  const write = async (bytes: Buffer): Promise<void> => {
    hash.update(bytes);
    size += bytes.length;
    await output.writeFile(bytes);
  };
  const central: Buffer[] = [];
  let unzipped = 0;
  try {
    for (const item of inOrder(items)) {
      if (item.kind === 'folder') continue;
      signal.throwIfAborted();
      const body = item.kind === 'symlink' ? Buffer.from(item.target) : await item.read();
      unzipped += body.length;
      if (unzipped > limits.maxBytes || central.length / 2 >= limits.maxFiles) throw tooLarge(limits);
      const name = nameOf(item.path);
      const { method, bytes } = await packed(body);
      const common = commonFields(method, body, bytes.length, name.length);
      central.push(centralHeader(common, modeOf(item), size), name);
      await write(Buffer.concat([signed(0x04034b50, common), name]));
      await write(bytes);
    }
    const directory = Buffer.concat(central);
    const at = size;
    await write(directory);
    await write(endOf(central.length / 2, directory.length, at));
    await output.sync();
  } finally {
    await output.close();
  }
  return { digest: `sha256:${hash.digest('hex')}`, size };
}

/** In pieces, so that a large file does not hold up everything else that this process does. */
async function packed(body: Buffer): Promise<{ method: number; bytes: Buffer }> {
  const pieces: Uint8Array[] = [];
  const deflate = new Deflate({ level: LEVEL }, (piece) => pieces.push(piece));
  for (let at = 0; ; at += PIECE_BYTES) {
    const isLast = at + PIECE_BYTES >= body.length;
    deflate.push(body.subarray(at, at + PIECE_BYTES), isLast);
    if (isLast) break;
    await breathe();
  }
  const bytes = Buffer.concat(pieces);
  return bytes.length < body.length ? { method: DEFLATED, bytes } : { method: STORED, bytes: body };
}

/** What both headers of an entry say, from the version on. */
function commonFields(method: number, body: Buffer, packedBytes: number, nameBytes: number): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(VERSION, 0);
  fields.writeUInt16LE(FLAGS, 2);
  fields.writeUInt16LE(method, 4);
  fields.writeUInt16LE(0, 6);
  fields.writeUInt16LE(DATE, 8);
  fields.writeUInt32LE(crc32(body), 10);
  fields.writeUInt32LE(packedBytes, 14);
  fields.writeUInt32LE(body.length, 18);
  fields.writeUInt16LE(nameBytes, 22);
  return fields;
}

function centralHeader(common: Buffer, mode: number, offset: number): Buffer {
  const madeBy = Buffer.alloc(2);
  madeBy.writeUInt16LE(MADE_BY);
  const rest = Buffer.alloc(14); // no comment, first disk, no internal attributes
  rest.writeUInt32LE(mode * 0x10000, 6);
  rest.writeUInt32LE(offset, 10);
  return Buffer.concat([signed(0x02014b50, madeBy), common, rest]);
}

function endOf(entries: number, directoryBytes: number, at: number): Buffer {
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries, 4);
  end.writeUInt16LE(entries, 6);
  end.writeUInt32LE(directoryBytes, 8);
  end.writeUInt32LE(at, 12);
  return signed(0x06054b50, end);
}

function signed(signature: number, fields: Buffer): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(signature);
  return Buffer.concat([bytes, fields]);
}

function modeOf(item: Exclude<LayerItem, { kind: 'folder' }>): number {
  if (item.kind === 'symlink') return 0o120777;
  return item.executable ? 0o100755 : 0o100644;
}

/** Unzipping it must write below the folder where it is unzipped, on any system. */
function nameOf(path: string): Buffer {
  const isSafe =
    !/[\\\p{Cc}]|^[A-Za-z]:/u.test(path) &&
    path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  const name = Buffer.from(path);
  if (isSafe && name.length <= 0xffff) return name;
  throw new ArtifactError({
    code: 'artifact.zip-name',
    what: `The name ${JSON.stringify(path.slice(0, 200))} cannot stand in a zip: unzipping it might write elsewhere.`,
    fix: 'Rename the file, or exclude it from the build.',
  });
}

function tooLarge({ maxBytes, maxFiles }: ZipLimits): ArtifactError {
  return new ArtifactError({
    code: 'artifact.zip-too-large',
    what: `The zip would hold more than ${Math.floor(maxBytes / 1024 / 1024)} MB unzipped, or more than ${maxFiles} files; Lambda takes no larger one.`,
    fix: 'Leave files out with `exclude`, package the functions individually, or build an image with the dockerfile builder.',
  });
}
