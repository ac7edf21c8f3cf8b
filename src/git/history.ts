import { git, type GitOutput } from './git.ts';

export interface LogRange {
  /** Exclusive: what is reachable from here is left out. */
  readonly from?: string | undefined;
  readonly to: string;
  /** Only commits that touch one of these paths (literal, files or folders). */
  readonly paths?: readonly string[] | undefined;
  readonly firstParent?: boolean | undefined;
  readonly limit: number;
}

/** Questions about commits that are all in the mirror; none reaches the network. Ids are full object ids. */
export interface History {
  isAncestor(ancestor: string, descendant: string): Promise<boolean>;
  /** Whether a branch, as of the last fetch, holds the commit. */
  isOnBranch(commit: string): Promise<boolean>;
  /** `null` when the two share no history. */
  mergeBase(one: string, other: string): Promise<string | null>;
  /** How many first-parent steps lead from a root to the commit, itself counted: 1 for a root. */
  firstParentPosition(commit: string): Promise<number>;
  /** Newest first. */
  log(range: LogRange): Promise<string[]>;
  /** Paths that differ between two commits, without looking for renames. */
  changedPaths(one: string, other: string): Promise<string[]>;
  /** First parents of `head` that hold `from` without being it, oldest first; none when `head` does not hold it. */
  broughtBy(from: string, head: string): Promise<string[]>;
}

export function createHistory(gitDir: string): History {
  const ask = (args: readonly [string, ...string[]], okCodes: readonly number[] = [0]): Promise<GitOutput> =>
    git(args, { gitDir, directories: [gitDir], okCodes });
  return {
    isAncestor: async (ancestor, descendant) => {
      if (ancestor === descendant) return true;
      const { code } = await ask(['merge-base', '--is-ancestor', '--end-of-options', ancestor, descendant], [0, 1]);
      return code === 0;
    },
    isOnBranch: async (commit) => {
      const { stdout } = await ask(['for-each-ref', '--count=1', `--contains=${commit}`, 'refs/heads/']);
      return stdout.length > 0;
    },
    mergeBase: async (one, other) => {
      const { stdout, code } = await ask(['merge-base', '--end-of-options', one, other], [0, 1]);
      return code === 0 ? stdout.toString('latin1').trim() : null;
    },
    firstParentPosition: async (commit) => {
      const { stdout } = await ask(['rev-list', '--count', '--first-parent', '--end-of-options', commit, '--']);
      return Number(stdout.toString('latin1').trim());
    },
    log: async ({ from, to, paths = [], firstParent = false, limit }) => {
      const range = from === undefined ? [to] : [to, `^${from}`];
      const options = [`--max-count=${limit}`, ...(firstParent ? ['--first-parent'] : [])];
      return linesOf(await ask(['rev-list', ...options, '--end-of-options', ...range, '--', ...paths]));
    },
    broughtBy: async (from, head) => {
      const range = ['--end-of-options', head, `^${from}`, '--'];
      // with `--first-parent` git would not see that a merge leads to what it merged
      const holding = new Set(linesOf(await ask(['rev-list', '--ancestry-path', ...range])));
      return linesOf(await ask(['rev-list', '--first-parent', '--reverse', ...range])).filter((sha) =>
        holding.has(sha),
      );
    },
    changedPaths: async (one, other) => {
      const options = ['-r', '-z', '--name-only', '--no-renames', '--no-ext-diff', '--ignore-submodules=none'];
      const { stdout } = await ask(['diff-tree', ...options, '--end-of-options', one, other, '--']);
      return stdout
        .toString('utf8')
        .split('\0')
        .filter((path) => path !== '');
    },
  };
}

function linesOf({ stdout }: GitOutput): string[] {
  return stdout
    .toString('latin1')
    .split('\n')
    .filter((line) => line !== '');
}
