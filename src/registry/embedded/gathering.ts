import type { FileHandle } from 'node:fs/promises';

import type { RunningHash } from './running-hash.ts';

/** A connection gives 64 KB at a time, and each write costs a turn of a thread: so what comes is gathered, but for no longer than this. */
const GATHERED_BYTES = 1024 * 1024;
const GATHERED_MS = 100;

/** An error of a write ends every call after it. */
interface Gathering {
  /** Takes the chunk for good. @returns when there is room for more */
  write(chunk: Buffer): Promise<void>;
  /** Closes the file. @returns when it, and the hash, have all that was given */
  end(): Promise<void>;
}

/** The end of a file: writes what was gathered, then hashes it, while the next is gathered. */
export function gathering(file: FileHandle, hash: RunningHash | null): Gathering {
  let chunks: Buffer[] = [];
  let bytes = 0;
  let writing = Promise.resolve();
  let hashing = Promise.resolve();

  async function put(gathered: readonly Buffer[]): Promise<void> {
    await writeAll(file, gathered);
    await hashing;
    hashing = hash?.update(gathered) ?? hashing;
    hashing.catch(() => undefined); // told by the next call, as that of a write
  }

  /** @returns when what came before is written */
  function turn(): Promise<void> {
    const [before, gathered] = [writing, chunks];
    if (bytes === 0) return before;
    [chunks, bytes] = [[], 0];
    writing = before.then(() => put(gathered));
    writing.catch(() => undefined); // told by the next call
    return before;
  }

  const beat = setInterval(() => void turn().catch(() => undefined), GATHERED_MS);
  return {
    write: async (chunk) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= GATHERED_BYTES) await turn();
    },
    end: async () => {
      clearInterval(beat);
      void turn().catch(() => undefined);
      try {
        await writing;
        await hashing;
      } finally {
        await file.close();
      }
    },
  };
}

/** One write may take less than it was given: on a disk that is nearly full it does. */
async function writeAll(file: FileHandle, chunks: readonly Buffer[]): Promise<void> {
  const { bytesWritten } = await file.writev(chunks);
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  if (bytesWritten < bytes) await file.writeFile(Buffer.concat(chunks).subarray(bytesWritten));
}
