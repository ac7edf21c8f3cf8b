import { link, opendir, readdir, rename, rmdir, unlink } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';

import { sha256Hex } from '../../lib/digest.ts';
import { eachOf } from '../../lib/each.ts';
import { statOf, touch } from '../../lib/files.ts';
import { newId } from '../../lib/ids.ts';
import type { Swept } from '../content.ts';
import { codeOf, inFolder, isAbsent } from './durable-file.ts';
import type { Seen } from './small-files.ts';

/**
 * Decides which files may go, while others take them into use at the same moment, in any process of the machine, without
 * a lock. A file's time says when it was last used. One that is to go is moved aside first; only then is its time looked
 * at for good: whoever used it until then gets it back, and whoever looks for it meanwhile fetches it back himself. So
 * a use that was answered with "it is there" counts, and a kill between the two leaves a file that is found as before.
 */
export interface Limbo {
  /** Takes a file into use now. @returns null when there is none */
  use(path: string): Promise<Seen | null>;
  /**
   * Takes a file into use for a sweep that found it needed. One touch, which may reach a file that is just being removed: but
   * whoever made it needed has used it, so that no other sweep removes it either. @returns false when there is none
   */
  mark(path: string): Promise<boolean>;
  /** Reads a file that may just be looked at. @returns null when there is none */
  find<T>(path: string, read: () => Promise<T>): Promise<T | null>;
  /** Removes the files below a folder that nobody has used since `beforeMs`. */
  retireBelow(folder: string, retiring: Retiring): Promise<Swept>;
  /** Drops what killed processes moved aside before they could decide. What is in use was fetched back before. */
  sweep(beforeMs: number): Promise<number>;
}

export interface Retiring {
  readonly beforeMs: number;
  /** Was it marked just now? Then it need not be looked at. @param digest as the last two parts of its path say it */
  readonly isMarked?: (digest: string) => boolean;
  readonly signal?: AbortSignal | undefined;
  /** Hears of each file that was moved aside, before its time is looked at for good. */
  readonly moved?: (() => void) | undefined;
}

/** One more than the sweeps that may be met at the same moment. */
const LOOKS = 4;

/** What was used a moment ago need not be touched again: next to a day of grace it is as good as now. */
const FRESH_MS = 60_000;

/** Questions to the file system at once: more than its threads, so that none of them waits for us. */
export const AT_ONCE = 16;

/** @param directory holds all the files; @param aside a folder on the same file system */
export function openLimbo(directory: string, aside: string): Limbo {
  const keyOf = (path: string) => sha256Hex(relative(directory, path)).slice(0, 40);

  async function attempt<T>(read: () => Promise<T>): Promise<T | null> {
    try {
      return await read();
    } catch (error) {
      if (isAbsent(error)) return null;
      throw error;
    }
  }

  async function fetchBack(path: string): Promise<void> {
    const key = keyOf(path);
    for (const name of await readdir(aside)) {
      if (name.startsWith(key)) await attempt(() => linkTo(join(aside, name), path));
    }
  }

  async function find<T>(path: string, read: () => Promise<T>): Promise<T | null> {
    // Also when nothing lay aside it is looked for again: it may have been put back in between. Each sweep moves a file
    // aside once at most, so there is an end to it.
    for (let look = 1; ; look++) {
      const found = await attempt(read);
      if (found !== null || look === LOOKS) return found;
      await fetchBack(path);
    }
  }

  /** @returns its size, or null when it stays, or was not there */
  async function retire(path: string, { beforeMs, moved: hear }: Retiring): Promise<number | null> {
    const seen = await attempt(() => statOf(path));
    if (seen === null || seen.mtimeMs >= beforeMs) return null;
    const moved = join(aside, `${keyOf(path)}.${newId('old')}`);
    if ((await attempt(async () => rename(path, moved))) === null) return null;
    hear?.();
    const used = ((await attempt(() => statOf(moved)))?.mtimeMs ?? 0) >= beforeMs;
    if (used) await linkTo(moved, path);
    await attempt(() => unlink(moved)); // the sweep of another process may have been first
    return used ? null : seen.size;
  }

  return {
    find,
    use: async (path) =>
      find(path, async () => {
        const seen = await statOf(path);
        const now = new Date();
        if (seen.mtimeMs > now.getTime() - FRESH_MS && seen.mtimeMs <= now.getTime()) return seen;
        await touch(path, now, now);
        return statOf(path); // this look is what counts: a touch may reach a file that has no name any more
      }),
    mark: async (path) =>
      (await find(path, async () => {
        const now = new Date();
        await touch(path, now, now);
        return true;
      })) !== null,
    retireBelow: async (folder, retiring) => {
      const { beforeMs, isMarked, signal } = retiring;
      const swept = { files: 0, bytes: 0 };
      await eachOf(filesBelow(folder, beforeMs), AT_ONCE, async (path) => {
        signal?.throwIfAborted();
        if (isMarked?.(digestOfPath(path)) === true) return;
        const bytes = await retire(path, retiring);
        if (bytes === null) return;
        swept.files += 1;
        swept.bytes += bytes;
      });
      return swept;
    },
    sweep: async (beforeMs) => {
      let removed = 0;
      for (const name of await readdir(aside)) {
        const path = join(aside, name);
        if (((await attempt(() => statOf(path)))?.mtimeMs ?? beforeMs) >= beforeMs) continue;
        if ((await attempt(() => unlink(path))) !== null) removed++;
      }
      return removed;
    },
  };
}

/** Of `.../sha256/<hex>`, and of `.../sha256/<two digits>/<hex>`. */
function digestOfPath(path: string): string {
  const [algorithm = '', between = '', hex = ''] = path.split(sep).slice(-3);
  return between.length === 2 ? `${algorithm}:${hex}` : `${between}:${hex}`;
}

/** Another file that has come to that name meanwhile is as good: the name says what is in it. */
async function linkTo(from: string, path: string): Promise<void> {
  try {
    await inFolder(path, () => link(from, path));
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

/** Reads folders in parts, however many files they hold. A folder that is empty and was so for long goes, but `folder` itself. */
async function* filesBelow(folder: string, beforeMs: number): AsyncGenerator<string> {
  let entries;
  try {
    entries = await opendir(folder, { bufferSize: 256 });
  } catch (error) {
    if (isAbsent(error)) return;
    throw error;
  }
  for await (const entry of entries) {
    const path = join(folder, entry.name);
    if (!entry.isDirectory()) {
      yield path;
      continue;
    }
    yield* filesBelow(path, beforeMs);
    // one that was just made, or emptied, may be about to be written into
    if ((await statOf(path)).mtimeMs < beforeMs) await rmdir(path).catch(() => undefined);
  }
}
