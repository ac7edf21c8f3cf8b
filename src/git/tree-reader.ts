import { git } from './git.ts';
import { GitError } from './git-error.ts';
import type { ObjectReader } from './object-reader.ts';
import { parseTree, parseTreeListing, pathOf, type RawTreeEntry } from './parse-tree.ts';
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

  /** In the order of git. @returns null when there are more folders than `most.folders` */
  const walk = async (oid: string, above: string, most: { folders: number }): Promise<TreeEntry[] | null> => {
    if (--most.folders < 0) return null;
    const found: TreeEntry[] = [];
    for (const { mode, oid: its, name } of await trees(oid, readTree)) {
      const path = `${above}${pathOf(name)}`;
      const below = mode === '040000' ? await walk(its, `${path}/`, most) : [{ mode, oid: its, path }];
      if (below === null) return null;
      found.push(...below);
    }
    return found;
  };

  const listTree = async (oid: string): Promise<readonly TreeEntry[]> => {
    const walked = await walk(oid, '', { folders: FOLDERS_WALKED });
    if (walked !== null) return walked;
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
        const found = byName(await trees(at.oid, readTree)).get(keyOf(Buffer.from(name)));
        if (found === undefined) return null;
        at = { mode: found.mode, oid: found.oid, path };
      }
      return at;
    },
    list: (tree) => listings(tree, listTree),
  };
}

/** A thousand services in one folder are a thousand questions to one tree. */
const named = new WeakMap<readonly RawTreeEntry[], ReadonlyMap<string, RawTreeEntry>>();

function byName(tree: readonly RawTreeEntry[]): ReadonlyMap<string, RawTreeEntry> {
  const known = named.get(tree) ?? new Map(tree.map((entry) => [keyOf(entry.name), entry]));
  named.set(tree, known);
  return known;
}

/** Names are bytes, in whatever encoding. */
function keyOf(name: Buffer): string {
  return name.toString('latin1');
}

/** A folder of few is read through the kept process, about 0.1 ms for each below it; else a process of its own is faster. */
const FOLDERS_WALKED = 24;

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
