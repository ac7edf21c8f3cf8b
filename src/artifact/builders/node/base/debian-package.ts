import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

import xz from 'xz-decompress';

import { ArtifactError } from '../../../artifact-error.ts';
import { readTar } from '../../../oci/tar-reader.ts';
import type { TarEntry } from '../../../oci/tar-reader.ts';

const unzip = promisify(gunzip);

export interface DebianPackage {
  /** The text of the control file: name, version, licence and what it needs. */
  readonly control: string;
  readonly files: readonly TarEntry[];
}

/**
 * Reads a .deb: an `ar` archive of two tars. Its maintainer scripts are not run.
 * @throws ArtifactError `artifact.archive-broken` @see deb(5)
 */
export async function readDebianPackage(bytes: Buffer): Promise<DebianPackage> {
  const members = new Map(arMembers(bytes));
  const controlTar = await tarOf(members, 'control.tar');
  const control = [...readTar(controlTar)].find(({ path }) => /^(\.\/)?control$/.test(path));
  return {
    control: control?.body.toString('utf8') ?? '',
    files: [...readTar(await tarOf(members, 'data.tar'))],
  };
}

function* arMembers(bytes: Buffer): Generator<[string, Buffer]> {
  if (bytes.toString('latin1', 0, 8) !== '!<arch>\n') throw broken('it is not an ar archive');
  for (let at = 8; at + 60 <= bytes.length;) {
    const name = bytes
      .toString('latin1', at, at + 16)
      .trim()
      .replace(/\/$/, '');
    const size = Number(bytes.toString('latin1', at + 48, at + 58).trim());
    if (!Number.isInteger(size)) throw broken('a size is not a number');
    yield [name, bytes.subarray(at + 60, at + 60 + size)];
    at += 60 + size + (size % 2);
  }
}

async function tarOf(members: ReadonlyMap<string, Buffer>, name: string): Promise<Buffer> {
  const plain = members.get(name);
  if (plain) return plain;
  const gz = members.get(`${name}.gz`);
  if (gz) return unzip(gz);
  const xz = members.get(`${name}.xz`);
  if (xz) return unxz(xz);
  throw broken(`it has no ${name} in a form that we read (none, gzip, xz)`);
}

export async function unxz(bytes: Buffer): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const reader = new xz.XzReadableStream(new Blob([new Uint8Array(bytes)]).stream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) chunks.push(part.value.slice());
  return Buffer.concat(chunks);
}

function broken(what: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.archive-broken',
    what: `A Debian package cannot be read: ${what}.`,
    fix: 'Fetch it again from a Debian mirror.',
  });
}
