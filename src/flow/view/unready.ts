import type { ProblemView } from './project.ts';
import type { ReleaseBrief, ReleaseView } from './release.ts';

type Candidate = Omit<ReleaseView, 'services' | 'author' | 'createdAt' | 'yank'>;

/** A release that no environment can take yet, or ever. */
export interface UnreadyRelease extends ReleaseBrief {
  readonly state: 'building' | 'failed';
  readonly problem: ProblemView | null;
}

/**
 * Those of the newest releases that are being built, or failed, and that something still means: a branch, a tag, or who
 * cut the mix. What a later commit repaired, and what a deleted branch left, is history.
 * @param releases the newest first
 */
export function unreadyOf(releases: readonly Candidate[]): UnreadyRelease[] {
  const seen = new Set<string>();
  return releases.flatMap(({ id, number, commit, subject, names, yanked, state, problem, mixed }) => {
    const isMeant = names.some((name) => !seen.has(name)) || (mixed && state === 'building');
    for (const name of names) seen.add(name);
    return isMeant && state !== 'ready' ? [{ id, number, commit, subject, names, yanked, state, problem }] : [];
  });
}

/** One sentence on it. */
export function unreadyText({ number, commit, names, state, problem }: UnreadyRelease): string {
  const what =
    state === 'failed'
      ? `has no artifacts: ${problem?.what ?? 'the build failed.'}`
      : problem === null
        ? 'is being built.'
        : `waits: ${problem.what}`;
  return `#${number} ${commit.slice(0, 7)}${names.length === 0 ? '' : ` (${names.join(', ')})`} ${what}`;
}
