import { git } from './git.ts';
import { GitError } from './git-error.ts';
import type { ObjectReader } from './object-reader.ts';
import { parseTree, parseTreeListing, type RawTreeEntry } from './parse-tree.ts';
import type { TreeEntry } from './tree.ts';

export interface TreeReader {
  /** Mode and object of one path below a tree; `''` is the tree itself, `null` when there is nothing. */
  entry(tree: string, path: string): Promise<TreeEntry | null>;
  /** All files below a tree, in byte order of their paths. */
  list(tree: string): Promise<readonly TreeEntry[]>;
}

/** Trees never change, so what was parsed once is kept: the most recently used ones, `keepEntries` entries of each kind. */
export function createTreeReader({
  reader,
  gitDir,
  keepEntries = 150_000,
}: {
  readonly reader: ObjectReader;
  readonly gitDir: string;
  readonly keepEntries?: number;
}): TreeReader {
  const trees = recentlyUsed<RawTreeEntry>(keepEntries);
  const listings = recentlyUsed<TreeEntry>(keepEntries);

  const readTree = async (oid: string): Promise<readonly RawTreeEntry[]> => {
    const object = await reader.read(oid);
    if (object?.type !== 'tree') throw missingTree(oid);
    return parseTree(object.bytes, oid.length / 2);
  };

  const listTree = async (oid: string): Promise<readonly TreeEntry[]> => {
    if (!(await reader.has(oid))) throw missingTree(oid);
    const { stdout } = await git(['ls-tree', '-r', '-z', '--full-tree', '--end-of-options', oid], {
      gitDir,
      directories: [gitDir],
    });
    return parseTreeListing(stdout);
  };

  return {
    entry: async (tree, path) => {
      let at: TreeEntry = { mode: '040000', oid: tree, path };
      if (path === '') return at;
      for (const name of path.split('/')) {
        if (at.mode !== '040000') return null;
        const wanted = Buffer.from(name);
        const found = (await trees(at.oid, readTree)).find((entry) => entry.name.equals(wanted));
        if (found === undefined) return null;
        at = { mode: found.mode, oid: found.oid, path };
      }
      return at;
    },
    list: (tree) => listings(tree, listTree),
  };
}

type Recent<T> = (key: string, make: (key: string) => Promise<readonly T[]>) => Promise<readonly T[]>;

/** Keeps lists whose items number at most `most` together (the newest always). A failed reading is not kept. */
function recentlyUsed<T>(most: number): Recent<T> {
  const kept = new Map<string, readonly T[]>();
  const making = new Map<string, Promise<readonly T[]>>();
  let count = 0;
  const keep = (key: string, list: readonly T[]): void => {
    kept.set(key, list);
    count += list.length + 1;
    for (const [oldest, { length }] of kept) {
      if (count <= most || oldest === key) return;
      kept.delete(oldest);
      count -= length + 1;
    }
  };
  return async (key, make) => {
    const found = kept.get(key);
    if (found !== undefined) {
      kept.delete(key);
      kept.set(key, found);
      return found;
    }
    const running = making.get(key) ?? make(key).finally(() => making.delete(key));
    making.set(key, running);
    const list = await running;
    if (!kept.has(key)) keep(key, list);
    return list;
  };
}

function missingTree(oid: string): GitError {
  return new GitError({
    code: 'git.object-missing',
    what: `The folder object ${oid.slice(0, 12)} is not in the mirror.`,
    fix: 'Fetch the commit first; if it was force-pushed away, push it again.',
  });
}
