import { git } from './git.ts';
import { GitError } from './git-error.ts';
import type { TreeEntry } from './tree.ts';

/** From the first line to the last, both in it; lines count from 1. */
export type LineRange = readonly [first: number, last: number];

/** Path -> its lines that are new or other than before. A file that only lost lines, or is no text, has none. */
export type ChangedLines = ReadonlyMap<string, readonly LineRange[]>;

/** A path with its object on both sides; null where there is none. */
export interface EntryDifference {
  readonly path: string;
  readonly before: TreeEntry | null;
  readonly after: TreeEntry | null;
}

/** Which files differ between two listings, in byte order of their paths. */
export function differenceOf(before: readonly TreeEntry[], after: readonly TreeEntry[]): EntryDifference[] {
  const old = new Map(before.map((entry) => [entry.path, entry]));
  const now = new Set(after.map(({ path }) => path));
  const differs = after.flatMap((entry): EntryDifference[] => {
    const was = old.get(entry.path) ?? null;
    return was?.oid === entry.oid && was.mode === entry.mode ? [] : [{ path: entry.path, before: was, after: entry }];
  });
  const gone = before.flatMap((entry): EntryDifference[] =>
    now.has(entry.path) ? [] : [{ path: entry.path, before: entry, after: null }],
  );
  return [...differs, ...gone].toSorted((one, other) => Buffer.compare(Buffer.from(one.path), Buffer.from(other.path)));
}

/**
 * What a diff says of the lines of the newer tree, where renamed files are known by their content. The blobs of all
 * files that differ have to be there.
 * @param before a tree; null for an empty one
 */
export async function changedLinesOf(gitDir: string, before: string | null, after: string): Promise<ChangedLines> {
  const { stdout } = await git(
    [
      'diff-tree',
      '-r',
      '-p',
      '-U0',
      '-M',
      '--raw',
      '-z',
      '--diff-filter=AMRT',
      ...PLAIN,
      before ?? emptyTree(after),
      after,
    ],
    { gitDir, directories: [gitDir] },
  );
  return parseChangedLines(stdout);
}

const PLAIN = ['--no-ext-diff', '--no-textconv', '--ignore-submodules=all', '--end-of-options'];

/** The object that git knows without having it, in the format of the ids. */
function emptyTree({ length }: string): string {
  return length === 40
    ? '4b825dc642cb6eb9a060e54bf8d69288fbee4904'
    : '6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321';
}

/**
 * Reads `git diff-tree -p --raw -z`: paths as they are, then an empty one, then a patch for each, in their order. Lines of
 * files begin with a sign in a patch, so none can be taken for a line of its own.
 * @throws GitError `git.unexpected-output`
 */
export function parseChangedLines(output: Buffer): ChangedLines {
  const changed = new Map<string, LineRange[]>();
  const paths: (string | null)[] = []; // null where the lines are no lines of a file
  let at = 0;
  const field = (): string => {
    const end = output.indexOf(0, at);
    if (end < 0) throw unexpected();
    const text = output.toString('utf8', at, end);
    at = end + 1;
    return text;
  };
  while (at < output.length && output[at] === COLON) {
    const [, mode, , , status = ''] = field().split(' ');
    const first = field();
    const path = status.startsWith('R') ? field() : first;
    // another kind of file is told as two patches, one that takes the old away and one that brings the new
    if (status === 'T') paths.push(null);
    paths.push(mode === LINK ? null : path);
  }
  if (paths.length > 0) at++;
  let file = -1;
  let ranges: LineRange[] = [];
  for (let end = at; at < output.length; at = end + 1) {
    end = output.indexOf(10, at);
    if (end < 0) end = output.length;
    if (output.toString('latin1', at, Math.min(end, at + HEAD.length)) === HEAD) {
      const path = paths[++file];
      if (path === undefined) throw unexpected();
      ranges = [];
      if (path !== null) changed.set(path, ranges);
    } else if (output[at] === AT_SIGN) {
      const [, first, count = '1'] =
        /^@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@/.exec(output.toString('latin1', at, end)) ?? [];
      if (first === undefined || file < 0) throw unexpected();
      if (count !== '0') ranges.push([Number(first), Number(first) + Number(count) - 1]);
    }
  }
  if (file !== paths.length - 1) throw unexpected();
  return new Map([...changed].filter(([, lines]) => lines.length > 0));
}

const LINK = '120000';
const COLON = 0x3a;
const AT_SIGN = 0x40;
const HEAD = 'diff --git ';

function unexpected(): GitError {
  return new GitError({
    code: 'git.unexpected-output',
    what: 'The difference of two commits was told by git in a way that is not known.',
    fix: 'Tell the version of git (`git version`) in an issue.',
  });
}
