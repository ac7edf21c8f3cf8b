import type { ReleaseView } from '../flow/view/release.ts';
import { shortSha, type Paint } from './text.ts';

/**
 * The newest release of each branch and tag that no environment can take yet, or ever: it is being built, or it failed.
 * @param releases the newest first
 */
export function unreadyText(project: string, releases: readonly ReleaseView[], paint: Paint): string[] {
  const seen = new Set<string>();
  return releases.flatMap(({ number, commit, names, state, problem }) => {
    const isNewest = names.length === 0 || names.some((name) => !seen.has(name));
    for (const name of names) seen.add(name);
    if (!isNewest || state === 'ready') return [];
    const what = state === 'building' ? 'is being built' : `has no artifacts: ${problem?.what ?? 'the build failed.'}`;
    const of = names.length === 0 ? '' : ` (${names.join(', ')})`;
    return [paint(state === 'building' ? 'yellow' : 'red', `${project}: #${number} ${shortSha(commit)}${of} ${what}`)];
  });
}
