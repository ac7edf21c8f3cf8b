import { GitError } from './git-error.ts';

/** The frame of the git wire protocol. `0000` ends a message, `0001` parts it. @see gitprotocol-common(5) */
export type Packet =
  | { readonly kind: 'data'; readonly bytes: Buffer }
  | { readonly kind: 'flush' | 'delimiter' | 'end' };

const DELIMITER = '0001';
export const FLUSH = '0000';

/** A protocol-v2 request: a command, its capabilities, its arguments. */
export function encodeRequest(capabilities: readonly string[], args: readonly string[]): string {
  return [...capabilities.map(encodeLine), DELIMITER, ...args.map(encodeLine), FLUSH].join('');
}

/** One after the other, for millions may come. @throws GitError `git.protocol` for anything that is not whole packets, each in its frame */
export function* decodePackets(bytes: Buffer): Generator<Packet> {
  for (let at = 0; at < bytes.length;) {
    const found = packetAt(bytes, at);
    if (found === null) throw malformed();
    yield found.packet;
    at = found.end;
  }
}

/** Of an answer that comes in pieces: each packet with the piece that makes it whole. @throws GitError `git.protocol` for what is none */
export function packetsOfPieces(): (piece: Buffer) => Packet[] {
  let rest = Buffer.alloc(0);
  return (piece) => {
    const bytes = Buffer.concat([rest, piece]);
    const packets: Packet[] = [];
    let at = 0;
    for (let found = packetAt(bytes, at); found !== null; found = packetAt(bytes, at)) {
      packets.push(found.packet);
      at = found.end;
    }
    rest = bytes.subarray(at);
    return packets;
  };
}

/** @returns null where it is cut off */
function packetAt(bytes: Buffer, at: number): { readonly packet: Packet; readonly end: number } | null {
  if (at + 4 > bytes.length) return null;
  const digits = bytes.toString('latin1', at, at + 4);
  if (!/^[0-9a-f]{4}$/i.test(digits)) throw malformed();
  const length = Number.parseInt(digits, 16);
  if (length < 3) return { packet: { kind: KINDS[length] ?? 'end' }, end: at + 4 };
  if (length === 3) throw malformed();
  const end = at + length;
  return end > bytes.length ? null : { packet: { kind: 'data', bytes: bytes.subarray(at + 4, end) }, end };
}

const KINDS = ['flush', 'delimiter', 'end'] as const;

export function encodeLine(line: string): string {
  const text = `${line}\n`;
  return (Buffer.byteLength(text) + 4).toString(16).padStart(4, '0') + text;
}

function malformed(): GitError {
  return new GitError({
    code: 'git.protocol',
    what: 'The server answered something that is not the git protocol.',
    fix: 'Check that the URL leads to a git repository and not to a web page or a proxy.',
  });
}
