import { GitError } from './git-error.ts';
import type { GitObject } from './object-reader.ts';
import { formatOf, oidOf, packOf, type PackedObject } from './pack.ts';
import { spotIn, withOid } from './tree-splice.ts';

/** What is at a path of a commit. `link` and `folder` say at which path they are, which may be above the one asked for. */
export type AtPath =
  | { readonly kind: 'file'; readonly oid: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'link' | 'folder' | 'submodule'; readonly path: string };

export interface NewCommit {
  /** Path -> bytes of files that are there already: others are never made. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly author: Person;
  readonly message: string;
  /** A fixed one makes a commit that is repeated upon the same parent the very same commit. */
  readonly atSeconds: number;
}

export interface Person {
  readonly name: string;
  readonly email: string;
}

/** Commits upon a head that nobody else has seen yet. */
export interface Draft {
  readonly base: string;
  /** The newest of its commits; the base while there is none. */
  tip(): string;
  at(path: string): Promise<AtPath>;
  /** What the newest of its commits says, as it stands there. */
  message(): Promise<string>;
  /** @throws GitError `git.too-large` */
  read(path: string): Promise<Buffer | null>;
  /** @returns its id @throws GitError `git.object-missing` for a path without a file */
  commit(change: NewCommit): Promise<string>;
  /** Writes into the repository what was made since the last time. */
  settle(): Promise<void>;
  /** All that was made; null where some of it is settled and no more at hand. */
  pack(): Promise<Buffer | null>;
  /** What was made and is not settled, by id. */
  objects(): ReadonlyMap<string, PackedObject>;
}

export interface DraftParts {
  readonly base: string;
  /** Where what was made is written when it is settled. */
  readonly keepPack: (pack: Buffer) => Promise<void>;
  /** From there, or from the mirror below it. */
  readonly object: (oid: string, maxBytes?: number) => Promise<GitObject>;
}

/** What is edited is text that people write. */
const MOST_BYTES = 16 * 1024 * 1024;
/** Of the objects that a draft has in memory: some megabytes, for the folders on the way of a batch. */
const MOST_KEPT = 256;
const LARGEST_KEPT = 128 * 1024;
/** Of what was made and is not written yet. */
const MOST_UNSETTLED_BYTES = 32 * 1024 * 1024;

/** Trees are spliced, never built: the cost is that of the folders on the way, whatever else the repository holds. */
export function createDraft({ base, keepPack, object: objectOf }: DraftParts): Draft {
  const format = formatOf(base);
  const oidBytes = base.length / 2;
  let tip = base;
  const kept = new Map<string, GitObject>();
  const made = new Map<string, PackedObject>();
  let madeBytes = 0;
  let packed: Buffer | null = null;
  let isSettled = false;

  const keep = (oid: string, found: GitObject): void => {
    if (found.bytes.length > LARGEST_KEPT) return;
    kept.set(oid, found);
    for (const oldest of kept.keys()) {
      if (kept.size <= MOST_KEPT) return;
      kept.delete(oldest);
    }
  };

  /** The folders of one commit are those of the next, and objects never change. */
  const object = async (oid: string, maxBytes?: number): Promise<GitObject> => {
    const known = made.get(oid) ?? kept.get(oid);
    if (known !== undefined) return known;
    const found = await objectOf(oid, maxBytes);
    keep(oid, found);
    return found;
  };

  /** @param like a folder of a thousand entries, of which one changed, takes a hundred bytes so */
  const write = (object: GitObject, like?: PackedObject['like']): string => {
    const oid = oidOf(format, object);
    if (made.has(oid)) return oid;
    madeBytes += object.bytes.length;
    made.set(oid, like === undefined ? object : { ...object, like });
    packed = null;
    return oid;
  };

  const pack = async (): Promise<Buffer> => (packed ??= await packOf(format, made));

  const settle = async (): Promise<void> => {
    if (made.size === 0) return;
    await keepPack(await pack());
    isSettled = true;
    packed = null;
    for (const [oid, object] of made) keep(oid, object);
    made.clear();
    madeBytes = 0;
  };

  const treeOf = async (commit: string): Promise<string> => {
    const { type, bytes } = await object(commit);
    const [, tree] = /^tree ([0-9a-f]+)\n/.exec(bytes.toString('latin1')) ?? [];
    if (type !== 'commit' || tree === undefined) throw notThere('commit', commit);
    return tree;
  };

  const at = async (path: string): Promise<AtPath> => {
    let oid = await treeOf(tip);
    const names = path.split('/');
    for (const [index, name] of names.entries()) {
      const spot = spotIn((await object(oid)).bytes, name, oidBytes);
      if (spot === null) return { kind: 'none' };
      const isLast = index === names.length - 1;
      const here = names.slice(0, index + 1).join('/');
      if (spot.mode === '120000') return { kind: 'link', path: here };
      if (spot.mode === '160000') return { kind: 'submodule', path: here };
      const isFolder = /^0?40000$/.test(spot.mode);
      if (isLast) return isFolder ? { kind: 'folder', path: here } : { kind: 'file', oid: spot.oid };
      if (!isFolder) return { kind: 'none' };
      oid = spot.oid;
    }
    return { kind: 'folder', path };
  };

  /** @returns the id of the tree with the blob at the path */
  const spliced = async (tree: string, names: readonly string[], blob: string): Promise<string> => {
    const [name = '', ...below] = names;
    const { bytes } = await object(tree);
    const spot = spotIn(bytes, name, oidBytes);
    if (spot === null) throw notThere('file', name);
    const oid = below.length === 0 ? blob : await spliced(spot.oid, below, blob);
    return write({ type: 'tree', bytes: withOid(bytes, spot, oid) }, { oid: tree, at: spot.at, length: oidBytes });
  };

  return {
    base,
    tip: () => tip,
    at,
    message: async () => {
      const text = (await object(tip)).bytes.toString('utf8');
      return text.slice(text.indexOf('\n\n') + 2);
    },
    read: async (path) => {
      const found = await at(path);
      return found.kind === 'file' ? (await object(found.oid, MOST_BYTES)).bytes : null;
    },
    commit: async ({ files, author, message, atSeconds }) => {
      let tree = await treeOf(tip);
      for (const [path, bytes] of files) {
        if ((await at(path)).kind !== 'file') throw notThere('file', path);
        tree = await spliced(tree, path.split('/'), write({ type: 'blob', bytes }));
      }
      const who = `${named(author.name)} <${named(author.email)}> ${Math.floor(atSeconds)} +0000`;
      const head = `tree ${tree}\nparent ${tip}\nauthor ${who}\ncommitter ${who}\n`;
      tip = write({ type: 'commit', bytes: Buffer.from(`${head}\n${message.trimEnd()}\n`) });
      if (madeBytes > MOST_UNSETTLED_BYTES) await settle();
      return tip;
    },
    settle,
    pack: async () => (isSettled ? null : pack()),
    objects: () => made,
  };
}

/** Git ends a name at a bracket or a newline. */
function named(text: string): string {
  return text.replace(/[<>\p{Cc}]/gu, '').trim() || 'unknown';
}

function notThere(kind: string, what: string): GitError {
  return new GitError({
    code: 'git.object-missing',
    what: `There is no ${kind} "${what}" to write upon.`,
    fix: 'Only files that the repository holds already are changed.',
  });
}
