import { link, mkdir, readdir, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { createSynced, statOf, syncFolder } from '../../lib/files.ts';
import { newId } from '../../lib/ids.ts';

/**
 * Files that are either wholly there or not at all, also after a power cut: written under a temporary name, synced,
 * given their name, and the folder synced. `scratch` lies on the same file system.
 */
export interface DurableFiles {
  /** A new name for a file that is not finished. */
  temporary(): string;
  /** Writes the file in one piece; one that was there is replaced at once. */
  write(path: string, bytes: string | Uint8Array): Promise<void>;
  /** The same, unless the file is there already: then it stays as it is and the answer is false. */
  create(path: string, bytes: string | Uint8Array): Promise<boolean>;
  /** Gives a finished temporary file (its bytes are synced) its name. */
  place(temporary: string, path: string): Promise<void>;
  /** @returns false when there was none */
  remove(path: string): Promise<boolean>;
  /** Drops what a killed process left unfinished before `beforeMs`. @returns how many files */
  sweep(beforeMs: number): Promise<number>;
}

/** Removes the files in a folder, and in those below, that nobody has written to since `beforeMs`. @returns which */
export async function removeOlder(folder: string, beforeMs: number): Promise<string[]> {
  const removed: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    try {
      if (!entry.isFile() || (await statOf(path)).mtimeMs >= beforeMs) continue;
      await unlink(path);
      removed.push(entry.name);
    } catch (error) {
      if (!isAbsent(error)) throw error; // finished in the meantime
    }
  }
  return removed;
}

/** Makes `scratch` when it is not there. */
export async function openDurableFiles(scratch: string): Promise<DurableFiles> {
  await makeFolder(scratch);
  const temporary = () => join(scratch, newId('tmp'));

  async function written(bytes: string | Uint8Array): Promise<string> {
    const path = temporary();
    await createSynced(path, bytes, 0o640);
    return path;
  }

  async function place(from: string, path: string): Promise<void> {
    await inFolder(path, () => rename(from, path));
  }

  return {
    temporary,
    place,
    sweep: async (beforeMs) => (await removeOlder(scratch, beforeMs)).length,
    write: async (path, bytes) => place(await written(bytes), path),
    create: async (path, bytes) => {
      const from = await written(bytes);
      try {
        await inFolder(path, () => link(from, path));
        return true;
      } catch (error) {
        if (codeOf(error) === 'EEXIST') return false;
        throw error;
      } finally {
        await unlink(from);
      }
    },
    remove: async (path) => {
      try {
        await unlink(path);
      } catch (error) {
        if (isAbsent(error)) return false;
        throw error;
      }
      await syncFolder(dirname(path));
      return true;
    },
  };
}

/** True when the error says that there is no such file. */
export function isAbsent(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** Makes a folder with those above it, so that they survive a power cut. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o750 });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}

/** Does something that makes `path`; makes its folder first where it is missing, and syncs it after. */
export async function inFolder(path: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    await makeFolder(dirname(path));
    await act();
  }
  await syncTogether(dirname(path));
}

/** The sync of a folder that is under way, and the one that follows it. */
interface FolderSync {
  readonly running: Promise<void>;
  next: Promise<void> | null;
}

const folderSyncs = new Map<string, FolderSync>();

/** Who comes while a folder is being synced waits for the next sync, with all others who came meanwhile. */
async function syncTogether(path: string): Promise<void> {
  const known = folderSyncs.get(path);
  if (known !== undefined) {
    const after = () => syncTogether(path);
    known.next ??= known.running.then(after, after);
    return known.next;
  }
  const running = syncFolder(path).finally(() => folderSyncs.delete(path));
  folderSyncs.set(path, { running, next: null });
  return running;
}

/** Of an error of the system: `ENOENT`. */
export function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}
