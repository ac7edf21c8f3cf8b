import { ArtifactError } from '../artifact-error.ts';

/** An entry of an archive that lies in memory. `type` is the letter of the format: 0 file, 1 hard link, 2 symbolic link, 5 folder. */
export interface TarEntry {
  readonly path: string;
  readonly type: string;
  readonly mode: number;
  readonly target: string;
  /** A view into the archive. */
  readonly body: Buffer;
}

const BLOCK = 512;

/**
 * Reads ustar, PAX and GNU archives. Paths are as they stand in the archive: whoever uses them must see to `..`.
 * @throws ArtifactError `artifact.archive-broken`
 */
export function* readTar(archive: Buffer): Generator<TarEntry> {
  let next: { path?: string; linkpath?: string; size?: number } = {};
  for (let at = 0; at + BLOCK <= archive.length;) {
    const header = archive.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) return;
    checkSum(header, at);
    const type = header[156] === 0 ? '0' : String.fromCharCode(header[156] ?? 0);
    const size = next.size ?? numberAt(header, 124, 12);
    const body = archive.subarray(at + BLOCK, at + BLOCK + size);
    if (body.length !== size) throw broken(`the entry at byte ${at} is cut off`);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    if (type === 'x') next = { ...next, ...paxOf(body) };
    else if (type === 'L') next = { ...next, path: textOf(body) };
    else if (type === 'K') next = { ...next, linkpath: textOf(body) };
    else if (type !== 'g') {
      const path = next.path ?? ustarPath(header);
      const target = next.linkpath ?? textOf(header.subarray(157, 257));
      yield { path, type: type === '7' ? '0' : type, mode: numberAt(header, 100, 8) & 0o7777, target, body };
      next = {};
    }
  }
}

function ustarPath(header: Buffer): string {
  const name = textOf(header.subarray(0, 100));
  const isUstar = header.toString('latin1', 257, 263) === 'ustar\u0000'; // GNU keeps other things in the prefix
  const prefix = isUstar ? textOf(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

function checkSum(header: Buffer, at: number): void {
  let sum = 8 * 32;
  for (let index = 0; index < BLOCK; index++) if (index < 148 || index >= 156) sum += header[index] ?? 0;
  if (sum !== numberAt(header, 148, 8)) throw broken(`the header at byte ${at} does not match its checksum`);
}

/** Octal text, or base 256 when the first bit is set. */
function numberAt(header: Buffer, from: number, length: number): number {
  const first = header[from] ?? 0;
  if (first >= 0x80) {
    let value = first & 0x7f;
    for (let index = from + 1; index < from + length; index++) value = value * 256 + (header[index] ?? 0);
    if (!Number.isSafeInteger(value)) throw broken('a number is too large');
    return value;
  }
  const text = textOf(header.subarray(from, from + length)).trim();
  if (!/^[0-7]*$/.test(text)) throw broken('a number is not octal');
  return text === '' ? 0 : Number.parseInt(text, 8);
}

function paxOf(body: Buffer): { path?: string; linkpath?: string; size?: number } {
  const found: { path?: string; linkpath?: string; size?: number } = {};
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at);
    const length = Number(body.toString('latin1', at, space));
    if (space < 0 || !Number.isInteger(length) || length <= space - at || at + length > body.length)
      throw broken('a PAX record has a wrong length');
    const record = body.toString('utf8', space + 1, at + length - 1);
    const equals = record.indexOf('=');
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)];
    if (key === 'path' || key === 'linkpath') found[key] = value;
    if (key === 'size') {
      if (!/^\d{1,15}$/.test(value)) throw broken('a PAX size is not a number');
      found.size = Number(value);
    }
    at += length;
  }
  return found;
}

function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}

function broken(what: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.archive-broken',
    what: `An archive cannot be read: ${what}.`,
    fix: 'Fetch it again; if it stays broken, the package was published so.',
  });
}
