import { crc32, inflateRawSync } from 'node:zlib';

import { ArtifactError } from '../artifact-error.ts';
import type { LayerItem } from '../oci/layer.ts';

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END_BYTES = 22;
const SYMLINK = 0o120000;

/**
 * The files and links of a zip that lies in memory, as `writeZip` wrote it: no comment, no zip64. Each body is checked.
 * @throws ArtifactError `artifact.zip-broken`
 */
export function readZip(zip: Buffer): LayerItem[] {
  const end = zip.length - END_BYTES;
  if (end < 0 || zip.readUInt32LE(end) !== END) throw broken('it does not end as it should');
  const items: LayerItem[] = [];
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    if (at + 46 > end || zip.readUInt32LE(at) !== CENTRAL) throw broken('its directory is cut off');
    const nameBytes = zip.readUInt16LE(at + 28);
    const path = zip.toString('utf8', at + 46, at + 46 + nameBytes);
    const mode = zip.readUInt32LE(at + 38) >>> 16;
    const body = bodyOf(zip, at);
    items.push(
      (mode & 0o170000) === SYMLINK
        ? { kind: 'symlink', path, target: body.toString('utf8') }
        : { kind: 'file', path, executable: (mode & 0o100) !== 0, read: async () => body },
    );
    at += 46 + nameBytes + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return items;
}

function bodyOf(zip: Buffer, central: number): Buffer {
  const method = zip.readUInt16LE(central + 10);
  const packedBytes = zip.readUInt32LE(central + 20);
  const size = zip.readUInt32LE(central + 24);
  const local = zip.readUInt32LE(central + 42);
  if (local + 30 > central || zip.readUInt32LE(local) !== LOCAL) throw broken('an entry is not where it should be');
  const from = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const packed = zip.subarray(from, from + packedBytes);
  const body = method === 0 ? packed : inflateRawSync(packed, { maxOutputLength: Math.max(size, 1) });
  if (body.length !== size || crc32(body) !== zip.readUInt32LE(central + 16)) throw broken('an entry is damaged');
  return body;
}

function broken(what: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.zip-broken',
    what: `The zip of a function cannot be read: ${what}.`,
    fix: 'Build it again.',
  });
}
