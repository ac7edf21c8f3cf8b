import { close, fsync, open, readFile, type Stats, stat, utimes, writeFile } from 'node:fs';
import { promisify } from 'node:util';

// By Node's callbacks, promised: what `node:fs/promises` does for the same takes more of the processor (docs/decisions/0023). For what is
// asked ten thousand times.

/** The whole of a file. */
export const readWhole: (path: string) => Promise<Buffer> = promisify(readFile);

export const statOf: (path: string) => Promise<Stats> = promisify(stat);

export const touch: (path: string, accessed: Date, changed: Date) => Promise<void> = promisify(utimes);

/** Makes a file that was not there. On return its bytes last; its name does once its folder is synced. */
export async function createSynced(path: string, bytes: string | Uint8Array, mode: number): Promise<void> {
  await write(path, bytes, { flag: 'wx', mode, flush: true });
}

/** Makes what was made, renamed or removed in a folder last. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await openFile(path, 'r');
  try {
    await sync(folder);
  } finally {
    await closeFile(folder);
  }
}

const write: (path: string, bytes: string | Uint8Array, options: object) => Promise<void> = promisify(writeFile);
const openFile: (path: string, flags: string) => Promise<number> = promisify(open);
const sync = promisify(fsync);
const closeFile = promisify(close);
