/** What a layer may hold. `path` is relative, without a leading slash; folders end without one, too. */
export type LayerEntry =
  | { readonly kind: 'folder'; readonly path: string; readonly mode?: number }
  | { readonly kind: 'file'; readonly path: string; readonly executable: boolean; readonly size: number }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string };

const BLOCK = 512;
const OCTAL_SIZE_LIMIT = 8 * 1024 ** 3;

/**
 * The header of one tar entry: ustar, with a PAX record where ustar cannot say it (long or non-ASCII names, 8 GiB and
 * more). Owner 0, no names, time 0, and of the mode only what git knows, so that equal trees are equal bytes anywhere.
 */
export function tarHeader(entry: LayerEntry): Buffer {
  const path = entry.kind === 'folder' ? `${entry.path}/` : entry.path;
  const size = entry.kind === 'file' ? entry.size : 0;
  const target = entry.kind === 'symlink' ? entry.target : '';
  const split = splitPath(path);
  const records = [
    ...(split === undefined ? [paxRecord('path', path)] : []),
    ...(fits(target, 100) ? [] : [paxRecord('linkpath', target)]),
    ...(size >= OCTAL_SIZE_LIMIT ? [paxRecord('size', String(size))] : []),
  ];
  const header = ustarHeader({
    name: split?.name ?? asciiStandIn(path),
    prefix: split?.prefix ?? '',
    target: fits(target, 100) ? target : asciiStandIn(target),
    size: size >= OCTAL_SIZE_LIMIT ? 0 : size,
    mode: modeOf(entry),
    type: entry.kind === 'file' ? '0' : entry.kind === 'symlink' ? '2' : '5',
  });
  if (records.length === 0) return header;
  const body = Buffer.concat(records);
  const pax = ustarHeader({
    name: 'PaxHeader/entry',
    prefix: '',
    target: '',
    size: body.length,
    mode: 0o644,
    type: 'x',
  });
  return Buffer.concat([pax, body, tarPadding(body.length), header]);
}

/** The zeros that follow a file's bytes up to the next block. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

/** The two zero blocks that end an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK);
}

function modeOf(entry: LayerEntry): number {
  if (entry.kind === 'folder') return entry.mode ?? 0o755;
  if (entry.kind === 'symlink') return 0o777;
  return entry.executable ? 0o755 : 0o644;
}

interface Ustar {
  readonly name: string;
  readonly prefix: string;
  readonly target: string;
  readonly size: number;
  readonly mode: number;
  readonly type: string;
}

function ustarHeader({ name, prefix, target, size, mode, type }: Ustar): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0, 100, 'latin1');
  block.write(octal(mode, 7), 100, 'latin1');
  block.write(octal(0, 7), 108, 'latin1');
  block.write(octal(0, 7), 116, 'latin1');
  block.write(octal(size, 11), 124, 'latin1');
  block.write(octal(0, 11), 136, 'latin1');
  block.write('        ', 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write(target, 157, 100, 'latin1');
  block.write('ustar\u000000', 257, 'latin1');
  block.write(prefix, 345, 155, 'latin1');
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${octal(sum, 6)}\u0000 `, 148, 'latin1');
  return block;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

/** A path of ASCII that fits 100 bytes, or 155 + 100 cut at a slash; else it needs a PAX record. */
function splitPath(path: string): { name: string; prefix: string } | undefined {
  if (fits(path, 100)) return { name: path, prefix: '' };
  if (!fits(path, 256)) return undefined;
  const cut = path.lastIndexOf('/', 155);
  const name = path.slice(cut + 1);
  return cut > 0 && name !== '' && name.length <= 100 ? { name, prefix: path.slice(0, cut) } : undefined;
}

function fits(text: string, bytes: number): boolean {
  return text.length <= bytes && /^[\u0020-\u007e]*$/.test(text);
}

/** What a reader without PAX would see. */
function asciiStandIn(text: string): string {
  return text.replace(/[^\u0020-\u007e]/g, '_').slice(0, 100);
}

/** `<length> <key>=<value>\n`, where the length counts itself, in bytes. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`);
}
