import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { deflate as deflateWith, constants } from 'node:zlib';

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

/**
 * Writes objects into a repository, all or none, as one pack: a file for each would take some hundred trips to the
 * disk for a batch of promotions. The pack is only as durable as the folder: nothing is flushed to the disk.
 */
export async function writePack(gitDir: string, format: ObjectFormat, objects: readonly GitObject[]): Promise<void> {
  const input = await packOf(format, objects);
  await git(['index-pack', '--stdin'], { gitDir, directories: [gitDir], input, config: [['core.fsync', 'none']] });
}

const deflate = promisify<Buffer, { level: number }, Buffer>(deflateWith);

/** Ids, of which folders are made, do not get smaller. */
const LEVEL = { level: constants.Z_BEST_SPEED };

const TYPES = { commit: 1, tree: 2, blob: 3, tag: 4 } as const;

/** Version 2, every object whole. See gitformat-pack(5). */
async function packOf(format: ObjectFormat, objects: readonly GitObject[]): Promise<Buffer> {
  const head = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  head.writeUInt32BE(objects.length, 8);
  const bodies = await Promise.all(objects.map(({ bytes }) => deflate(bytes, LEVEL)));
  const entries = objects.flatMap((object, index) => [entryHead(object), bodies[index] ?? Buffer.alloc(0)]);
  const pack = Buffer.concat([head, ...entries]);
  return Buffer.concat([pack, createHash(format).update(pack).digest()]);
}

/** The type and, in groups of seven bits from the lowest, the length: four bits of it beside the type. */
function entryHead({ type, bytes }: GitObject): Buffer {
  const head: number[] = [];
  let byte = (TYPES[type] << 4) | (bytes.length & 15);
  for (let rest = Math.floor(bytes.length / 16); rest > 0; rest = Math.floor(rest / 128)) {
    head.push(byte | 128);
    byte = rest & 127;
  }
  return Buffer.from([...head, byte]);
}
