import { Decompress } from 'fzstd';

/** What zstd takes unless it is told otherwise. */
const MAX_WINDOW_BYTES = 128 * 1024 * 1024;
const MAX_BLOCK_BYTES = 128 * 1024;

/**
 * Unpacks zstd on every Node: 20 has none of its own, and that of 22 ends with the first frame, though tools write several. What
 * is no zstd ends it with an error without a code.
 *
 * Block by block: each has 128 KB at most, so a small layer that unpacks to a large one fills no memory, and the window of each
 * frame is known before it is made. Checksums are left to who knows a digest of the whole.
 * @see RFC 8878, section 3.1
 */
export async function* unpackZstd(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const bytes = readerOf(source);
  while (!(await bytes.isAtEnd())) {
    const magic = await bytes.take(4);
    if ((magic.readUInt32LE() & 0xfffffff0) >>> 0 === 0x184d2a50)
      await bytes.skip((await bytes.take(4)).readUInt32LE()); // a frame for others
    else if (magic.readUInt32LE() === 0xfd2fb528) yield* unpackFrame(magic, bytes);
    else throw new Error('There is no zstd frame where one should begin.');
  }
}

async function* unpackFrame(magic: Buffer, bytes: Reader): AsyncGenerator<Uint8Array> {
  const unpacked: Uint8Array[] = [];
  const frame = new Decompress((piece) => unpacked.push(piece));
  const push = (part: Uint8Array, isLast = false): Uint8Array[] => {
    try {
      frame.push(part, isLast);
    } catch (cause) {
      throw new Error('A zstd frame is damaged.', { cause }); // its code is a number, which means nothing elsewhere
    }
    return unpacked.splice(0);
  };
  const { header, hasChecksum } = await readHeader(bytes);
  push(Buffer.concat([magic, header]));
  for (let isLast = false; !isLast;) {
    const head = await bytes.take(3);
    const fields = head.readUIntLE(0, 3);
    isLast = (fields & 1) === 1;
    const repeats = ((fields >> 1) & 3) === 1;
    if (fields >> 3 > MAX_BLOCK_BYTES) throw new Error('A block of a zstd frame is too large.');
    yield* push(Buffer.concat([head, await bytes.take(repeats ? 1 : fields >> 3)]));
  }
  yield* push(await bytes.take(hasChecksum ? 4 : 0), true);
}

async function readHeader(bytes: Reader): Promise<{ header: Buffer; hasChecksum: boolean }> {
  const first = await bytes.take(1);
  const flags = first.readUInt8();
  const isSingle = ((flags >> 5) & 1) === 1;
  const window = await bytes.take(isSingle ? 0 : 1);
  const dictionary = await bytes.take([0, 1, 2, 4][flags & 3] ?? 0);
  const sizeBytes = flags >> 6 === 0 ? (isSingle ? 1 : 0) : 1 << (flags >> 6);
  const size = await bytes.take(sizeBytes);
  if ((isSingle ? sizeIn(size) : windowIn(window)) > MAX_WINDOW_BYTES)
    throw new Error('A zstd frame wants more memory than it gets.');
  return { header: Buffer.concat([first, window, dictionary, size]), hasChecksum: ((flags >> 2) & 1) === 1 };
}

function windowIn(descriptor: Buffer): number {
  const fields = descriptor.readUInt8();
  const base = 2 ** (10 + (fields >> 3));
  return base + (base / 8) * (fields & 7);
}

function sizeIn(field: Buffer): number {
  if (field.length === 8) return Number(field.readBigUInt64LE());
  return field.readUIntLE(0, field.length) + (field.length === 2 ? 256 : 0);
}

interface Reader {
  isAtEnd(): Promise<boolean>;
  /** @throws when the source ends before */
  take(count: number): Promise<Buffer>;
  skip(count: number): Promise<void>;
}

function readerOf(source: AsyncIterable<Uint8Array>): Reader {
  const chunks = source[Symbol.asyncIterator]();
  let held = Buffer.alloc(0);
  const more = async (): Promise<boolean> => {
    const { done, value } = await chunks.next();
    if (done !== true) held = held.length === 0 ? Buffer.from(value) : Buffer.concat([held, value]);
    return done !== true;
  };
  const take = async (count: number): Promise<Buffer> => {
    while (held.length < count) if (!(await more())) throw new Error('A zstd frame is cut off.');
    const taken = held.subarray(0, count);
    held = held.subarray(count);
    return taken;
  };
  return {
    take,
    isAtEnd: async () => {
      while (held.length === 0) if (!(await more())) return true;
      return false;
    },
    skip: async (count) => {
      for (let left = count; left > 0;) {
        if (held.length === 0 && !(await more())) throw new Error('A zstd frame is cut off.');
        left -= (await take(Math.min(left, held.length))).length;
      }
    },
  };
}
