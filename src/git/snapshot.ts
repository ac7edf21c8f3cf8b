import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { git } from './git.ts';
import { GitError } from './git-error.ts';
import { formatOf } from './pack.ts';
import { listRefs } from './ls-refs.ts';
import { createMirrorFolder, mirrorFolder } from './mirror-folder.ts';
import { createObjectReader } from './object-reader.ts';
import { BRANCH_PREFIX, isRefName } from './ref.ts';
import { parseRemoteUrl, type Remote } from './remote.ts';

/** A regular file of a commit. */
export interface SnapshotFile {
  readonly path: string;
  readonly oid: string;
  /** Null: it is larger than what was asked for, or not in this clone. */
  readonly bytes: number | null;
}

/** What one commit holds, without the history behind it. */
export interface Snapshot {
  readonly branch: string;
  readonly commit: string;
  /** In byte order of their paths; neither links nor submodules, and no name that is not UTF-8. */
  readonly files: readonly SnapshotFile[];
  readonly leftOut: { readonly links: number; readonly submodules: number; readonly unreadableNames: number };
  /** The bytes of one of its files. @throws GitError `git.too-large`, `git.object-missing` */
  read(file: SnapshotFile): Promise<Buffer>;
}

/** A look at branches of a repository that nobody works with here. Nothing is checked out, and nothing of it is run. */
export interface Snapshots {
  readonly branches: readonly string[];
  readonly defaultBranch: string | null;
  /** Of a branch that is listed. @throws GitError `git.too-large` (more files than are read), `git.timeout` */
  at(branch: string): Promise<Snapshot>;
  close(): void;
}

export interface SnapshotOptions {
  /** A folder of the caller's own, which the caller removes. */
  readonly directory: string;
  /** Files that have more are listed and not brought. */
  readonly maxFileBytes: number;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Some 400,000 files; a tree that holds itself many times over (a bomb of a few kilobytes) ends here. */
const MOST_LISTING_BYTES = 48 * 1024 * 1024;

/** @throws GitError when the server cannot be asked */
export async function openRemoteSnapshots(remote: Remote, options: SnapshotOptions): Promise<Snapshots> {
  const listing = await listRefs(remote, { signal: options.signal });
  const refs = listing.kind === 'listed' ? listing.refs.filter(({ name }) => name.startsWith(BRANCH_PREFIX)) : [];
  const folder = mirrorFolder(options.directory);
  await createMirrorFolder(folder, formatOf(refs[0]?.oid ?? ''));
  const url = parseRemoteUrl(remote.url, remote.allow);
  const heads = new Map(refs.map(({ name, oid }) => [name.slice(BRANCH_PREFIX.length), oid]));
  const defaultBranch = listing.kind === 'listed' ? (listing.defaultBranch?.slice(BRANCH_PREFIX.length) ?? null) : null;
  return snapshots(options, folder.view, heads, defaultBranch, async (branch, commit) => {
    const ref = `${BRANCH_PREFIX}${branch}`;
    const filter = `--filter=blob:limit=${options.maxFileBytes + 1}`;
    const quiet = ['--quiet', '--no-tags', '--no-write-fetch-head', '--no-auto-maintenance'] as const;
    await git(['fetch', ...quiet, '--depth=1', filter, 'origin', `+${ref}:${ref}`], {
      gitDir: folder.store,
      directories: [
        folder.store,
        url.scheme === 'file' ? decodeURIComponent(new URL(url.href).pathname) : '/nonexistent',
      ],
      remote: { url, credential: await remote.credential?.() },
      config: [
        ['remote.origin.url', url.href],
        ['remote.origin.promisor', 'true'],
        ['remote.origin.partialCloneFilter', 'blob:none'],
      ],
      timeoutMs: options.timeoutMs,
      signal: options.signal,
    });
    const { stdout } = await git(['rev-parse', '--verify', '--end-of-options', ref], {
      gitDir: folder.store,
      directories: [folder.store],
    });
    return stdout.toString().trim() || commit; // it may have moved since it was listed
  });
}

/**
 * Reads the objects of a repository where they lie: its work tree, hooks and settings are never touched.
 * @param path a bare repository, or the root of a work tree
 * @throws GitError `git.not-found`
 */
export async function openLocalSnapshots(path: string, options: SnapshotOptions): Promise<Snapshots> {
  const gitDir = await gitDirOf(path);
  const place = { gitDir, directories: [gitDir, path], okCodes: [0, 1, 128], timeoutMs: options.timeoutMs };
  const listed = await git(
    ['for-each-ref', '--format=%(objectname) %(refname)', 'refs/heads', 'refs/remotes/origin'],
    place,
  );
  const heads = new Map<string, string>();
  for (const line of listed.stdout.toString('utf8').split('\n')) {
    const [oid = '', name = ''] = line.split(' ', 2);
    const branch = /^refs\/(?:heads|remotes\/origin)\/(.+)$/.exec(name)?.[1];
    if (branch === undefined || branch === 'HEAD' || !isRefName(`${BRANCH_PREFIX}${branch}`)) continue;
    if (!heads.has(branch)) heads.set(branch, oid); // of a branch that is both here and on the server: what is here
  }
  const head = (await git(['symbolic-ref', '--quiet', 'HEAD'], place)).stdout.toString('utf8').trim();
  const view = join(options.directory, 'view.git');
  const format = formatOf([...heads.values()][0] ?? '');
  await mkdir(view, { recursive: true, mode: 0o700 });
  const init = ['init', '--quiet', '--bare', '--template=', `--object-format=${format}`] as const;
  await git([...init, '--end-of-options', view], { directories: [view] });
  await mkdir(join(view, 'objects', 'info'), { recursive: true });
  await writeFile(join(view, 'objects', 'info', 'alternates'), `${join(gitDir, 'objects')}\n`);
  const checkedOut = head.startsWith(BRANCH_PREFIX) ? head.slice(BRANCH_PREFIX.length) : null;
  const defaultBranch = checkedOut !== null && heads.has(checkedOut) ? checkedOut : null;
  return snapshots(options, view, heads, defaultBranch, (_branch, commit) => Promise.resolve(commit));
}

/** The address that a clone was made from; null when it has none. */
export async function originOf(path: string): Promise<string | null> {
  const gitDir = await gitDirOf(path);
  const { stdout } = await git(['config', '--get', 'remote.origin.url'], {
    gitDir,
    directories: [gitDir, path],
    okCodes: [0, 1],
  });
  return stdout.toString('utf8').trim() || null;
}

async function gitDirOf(path: string): Promise<string> {
  for (const gitDir of [join(path, '.git'), path]) {
    const [objects, head] = await Promise.all(
      ['objects', 'HEAD'].map((name) => stat(join(gitDir, name)).catch(() => undefined)),
    );
    if (objects?.isDirectory() === true && head?.isFile() === true) return gitDir;
  }
  throw new GitError({
    code: 'git.not-found',
    what: `${path} is not the root of a git repository.`,
    fix: 'Name its root, or the address to clone it from.',
  });
}

function snapshots(
  { maxFileBytes, timeoutMs, signal }: SnapshotOptions,
  view: string,
  heads: ReadonlyMap<string, string>,
  defaultBranch: string | null,
  bring: (branch: string, commit: string) => Promise<string>,
): Snapshots {
  const reader = createObjectReader({ gitDir: view, directories: [view] });
  return {
    branches: [...heads.keys()],
    defaultBranch,
    at: async (branch) => {
      const commit = await bring(branch, heads.get(branch) ?? '');
      const { stdout } = await git(['ls-tree', '-r', '-z', '-l', '--full-tree', '--end-of-options', commit], {
        gitDir: view,
        directories: [view],
        timeoutMs,
        maxBytes: MOST_LISTING_BYTES,
        signal,
      });
      return {
        branch,
        commit,
        ...parseListing(stdout, maxFileBytes),
        read: async ({ oid, path }) => {
          const found = await reader.read(oid, maxFileBytes);
          if (found?.type === 'blob') return found.bytes;
          throw new GitError({
            code: 'git.object-missing',
            what: `What ${path} holds is not in this clone.`,
            fix: 'Fetch it first, or name the address to clone it from.',
          });
        },
      };
    },
    close: () => reader.close(),
  };
}

/** What `git ls-tree -r -z -l` prints: `mode type oid size<TAB>path<NUL>`, with `BAD` for the size of what is not there. */
function parseListing(listing: Buffer, maxFileBytes: number): Pick<Snapshot, 'files' | 'leftOut'> {
  const leftOut = { links: 0, submodules: 0, unreadableNames: 0 };
  const files: SnapshotFile[] = [];
  for (let at = 0; at < listing.length;) {
    const end = listing.indexOf(0, at);
    const tab = listing.indexOf(9, at);
    if (end === -1 || tab === -1 || tab > end) break;
    const [mode, , oid = '', size = ''] = listing.toString('latin1', at, tab).split(/ +/);
    if (mode === '120000') leftOut.links += 1;
    else if (mode === '160000') leftOut.submodules += 1;
    else {
      const path = textOf(listing.subarray(tab + 1, end));
      const bytes = /^\d+$/.test(size) ? Number(size) : null;
      if (path === null) leftOut.unreadableNames += 1;
      else files.push({ path, oid, bytes: bytes === null || bytes > maxFileBytes ? null : bytes });
    }
    at = end + 1;
  }
  return { files, leftOut };
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(bytes: Buffer): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}
