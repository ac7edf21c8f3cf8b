import { readWhole } from '../../lib/files.ts';

/** What a file system says of a file; it is another one after anybody wrote to it, touched it or put another in its place. */
export interface Seen {
  readonly ino: number;
  readonly size: number;
  readonly ctimeMs: number;
}

/** Small files that were read, kept in memory: a look at one is then one question to the file system instead of four. */
export interface SmallFiles {
  /** @param seen what was said of the file just now */
  read(path: string, seen: Seen): Promise<Buffer>;
}

const KEPT_FILES = 1000;
const KEPT_BYTES = 16 * 1024;

export function smallFiles(): SmallFiles {
  const kept = new Map<string, { readonly seen: Seen; readonly bytes: Buffer }>();
  return {
    read: async (path, seen) => {
      const known = kept.get(path);
      if (known !== undefined && isSame(known.seen, seen)) return known.bytes;
      const bytes = await readWhole(path);
      if (bytes.length > KEPT_BYTES) return bytes;
      if (kept.size >= KEPT_FILES) kept.clear();
      kept.set(path, { seen, bytes });
      return bytes;
    },
  };
}

function isSame(one: Seen, other: Seen): boolean {
  return one.ino === other.ino && one.size === other.size && one.ctimeMs === other.ctimeMs;
}
