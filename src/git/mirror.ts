import { mkdir } from 'node:fs/promises';

import { hasCode } from '../lib/error.ts';
import { type ChangedLines, changedLinesOf, differenceOf } from './changed-lines.ts';
import { notACommit, parseCommit, type CommitInfo } from './commit.ts';
import { git, requireGit } from './git.ts';
import { GitError } from './git-error.ts';
import { createHistory, type LogRange } from './history.ts';
import { createMirrorFetch, type MirrorLimits } from './mirror-fetch.ts';
import { exists, mirrorFolder } from './mirror-folder.ts';
import { createObjectFetcher } from './object-fetcher.ts';
import { createObjectReader } from './object-reader.ts';
import { isRefName, type GitRef } from './ref.ts';
import type { Remote } from './remote.ts';
import { createTreeReader } from './tree-reader.ts';
import type { SourceTree, TreeEntry } from './tree.ts';

export interface MirrorOptions extends Remote, MirrorLimits {
  /** Of this mirror alone. Several processes of a machine may share it. */
  readonly directory: string;
}

/**
 * A bare, blobless copy of a repository: the whole history and all trees, and the few blobs that were read. Commits
 * and trees are given by full object id. Nothing is ever checked out. Whatever was fetched once stays, also when its
 * branch is deleted or force-pushed.
 */
export interface Mirror {
  /** Brings the refs and history of the server here. */
  fetch(signal?: AbortSignal): Promise<void>;
  /** Makes sure that the commit is here, fetching only when it is not. @throws GitError `git.object-missing` */
  ensure(commit: string, signal?: AbortSignal): Promise<void>;
  has(oid: string): Promise<boolean>;
  /** As of the last fetch. */
  refs(): Promise<GitRef[]>;
  commit(sha: string): Promise<CommitInfo>;
  /** Mode and object at a path; `''` is the root tree; `null` when there is nothing. */
  entry(commit: string, path: string): Promise<TreeEntry | null>;
  /** All files below a folder (`''`: all of the commit), paths relative to it, in byte order; empty when it is absent. */
  tree(commit: string, path: string): Promise<readonly TreeEntry[]>;
  /** @throws GitError `git.object-missing` when there is no folder at `path` */
  sourceTree(commit: string, path: string, filter?: (entry: TreeEntry) => boolean): Promise<SourceTree>;
  /** The bytes of a blob, brought from the server if need be. */
  read(oid: string, maxBytes?: number): Promise<Buffer>;
  prefetch(oids: readonly string[]): Promise<void>;
  /** The bytes of a regular file; `null` when there is none (a link or folder is none). */
  file(commit: string, path: string, maxBytes?: number): Promise<Buffer | null>;
  isAncestor(ancestor: string, descendant: string): Promise<boolean>;
  /** Whether a branch, as of the last fetch, holds the commit. */
  isOnBranch(commit: string): Promise<boolean>;
  mergeBase(one: string, other: string): Promise<string | null>;
  firstParentPosition(commit: string): Promise<number>;
  log(range: LogRange): Promise<CommitInfo[]>;
  changedPaths(one: string, other: string): Promise<string[]>;
  /** What changed in the files of a folder, by the ids of its two trees; null for one that was not there. */
  changedLines(before: string | null, after: string): Promise<ChangedLines>;
  /** The commits of a branch, from its head down by first parents, that came upon `from` or brought it in; oldest first. */
  broughtBy(from: string, head: string): Promise<string[]>;
  /** Packs small packs together; for a sweep now and then. */
  maintain(signal?: AbortSignal): Promise<void>;
  close(): void;
}

const COMMITS_KEPT = 100;

/** Opens a mirror; its first `fetch` makes it. @throws GitError `git.url-refused`, `git.too-old` */
export async function openMirror(options: MirrorOptions): Promise<Mirror> {
  await requireGit();
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  const folder = mirrorFolder(options.directory);
  const network = createMirrorFetch(options, folder, options);
  const reader = createObjectReader({ gitDir: folder.view, directories: [folder.view, folder.store] });
  const fetcher = createObjectFetcher(reader, (oids) => network.objects(oids));
  const trees = createTreeReader({ reader, gitDir: folder.view });
  const history = createHistory(folder.view);

  let made = false;
  const isMade = async (): Promise<boolean> => (made ||= await exists(folder.view));

  const parse = async (sha: string): Promise<CommitInfo> => {
    const object = (await isMade()) ? await reader.read(sha) : null;
    if (object === null) throw missingObject('commit', sha);
    if (object.type !== 'commit') throw notACommit(sha);
    return parseCommit(sha, object.bytes);
  };

  /** A commit never changes, and each path of it that is looked up begins there: the last ones are kept. */
  const commits = new Map<string, Promise<CommitInfo>>();
  const readCommit = (sha: string): Promise<CommitInfo> => {
    const known = commits.get(sha);
    if (known !== undefined) return known;
    const made = parse(sha);
    commits.set(sha, made);
    made.catch(() => commits.delete(sha));
    const [oldest] = commits.keys();
    if (commits.size > COMMITS_KEPT && oldest !== undefined) commits.delete(oldest);
    return made;
  };

  const read = async (oid: string, maxBytes?: number): Promise<Buffer> => {
    let object = await reader.read(oid, maxBytes);
    if (object === null) {
      await fetcher.prefetch([oid]);
      object = await reader.read(oid, maxBytes);
    }
    if (object?.type !== 'blob') throw missingObject('file', oid);
    return object.bytes;
  };

  const entry = async (commit: string, path: string): Promise<TreeEntry | null> =>
    trees.entry((await readCommit(commit)).tree, path);

  const tree = async (commit: string, path: string): Promise<readonly TreeEntry[]> => {
    const found = await entry(commit, path);
    return found?.mode === '040000' ? trees.list(found.oid) : [];
  };

  const has = async (oid: string): Promise<boolean> => (await isMade()) && reader.has(oid);

  return {
    fetch: (signal) => network.refs(signal),
    ensure: async (commit, signal) => {
      if (await has(commit)) return;
      // A branch that holds something git refuses must not keep the commits of all other branches away.
      await network.refs(signal).catch((error: unknown) => {
        if (!hasCode(error, 'git.unsafe-object')) throw error;
      });
      if (await reader.has(commit)) return;
      await network.commit(commit, signal);
      if (!(await reader.has(commit))) throw missingObject('commit', commit);
    },
    has,
    refs: async () => ((await isMade()) ? listMirrorRefs(folder.store) : []),
    commit: readCommit,
    entry,
    tree,
    sourceTree: async (commit, path, filter) => {
      const found = await entry(commit, path);
      if (found?.mode !== '040000') throw missingFolder(commit, path);
      const all = await trees.list(found.oid);
      return {
        entries: filter === undefined ? all : all.filter(filter),
        read: (oid) => read(oid),
        prefetch: (oids) => fetcher.prefetch(oids),
      };
    },
    read,
    prefetch: (oids) => fetcher.prefetch(oids),
    file: async (commit, path, maxBytes) => {
      const found = await entry(commit, path);
      return found?.mode === '100644' || found?.mode === '100755' ? read(found.oid, maxBytes) : null;
    },
    isAncestor: (one, other) => history.isAncestor(one, other),
    // refs are kept where the network side is; the view of objects has none
    isOnBranch: (commit) => createHistory(folder.store).isOnBranch(commit),
    mergeBase: (one, other) => history.mergeBase(one, other),
    firstParentPosition: (commit) => history.firstParentPosition(commit),
    log: async (range) => Promise.all((await history.log(range)).map(readCommit)),
    changedPaths: (one, other) => history.changedPaths(one, other),
    changedLines: async (before, after) => {
      const [old, now] = await Promise.all([before === null ? [] : trees.list(before), trees.list(after)]);
      const files = differenceOf(old, now).flatMap((one) => [one.before, one.after]);
      await fetcher.prefetch(files.flatMap((file) => (file === null || file.mode === '160000' ? [] : [file.oid])));
      return changedLinesOf(folder.view, before, after);
    },
    broughtBy: (from, head) => history.broughtBy(from, head),
    maintain: (signal) => network.maintain(signal),
    close: () => reader.close(),
  };
}

async function listMirrorRefs(gitDir: string): Promise<GitRef[]> {
  const { stdout } = await git(['show-ref', '--heads', '--tags', '--dereference'], {
    gitDir,
    directories: [gitDir],
    okCodes: [0, 1],
  });
  const peeled = new Map<string, string>();
  const named: { name: string; oid: string }[] = [];
  for (const line of stdout.toString('utf8').split('\n')) {
    const [oid = '', name = ''] = line.split(' ', 2);
    if (name.endsWith('^{}')) peeled.set(name.slice(0, -'^{}'.length), oid);
    else if (isRefName(name)) named.push({ name, oid });
  }
  return named.map(({ name, oid }) => ({ name, oid, commit: peeled.get(name) ?? oid }));
}

function missingObject(kind: string, oid: string): GitError {
  return new GitError({
    code: 'git.object-missing',
    what: `The ${kind} ${oid.slice(0, 12)} is neither in the mirror nor on the server.`,
    fix: 'If it was force-pushed away, push it again; else choose another commit.',
  });
}

function missingFolder(commit: string, path: string): GitError {
  return new GitError({
    code: 'git.object-missing',
    what: `Commit ${commit.slice(0, 12)} has no folder "${path}".`,
    fix: 'Correct the path of the service in towpath.yaml, or add the folder.',
  });
}
