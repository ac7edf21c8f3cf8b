import { pullNumber } from '../git/ref.ts';
import { branchFilter, tagFilter } from '../source/ref-filter.ts';
import type { PathEnvironment } from './path.ts';

/** Why an environment wants a release: in words, for the promotion's record. */
export interface Route {
  readonly environment: string;
  readonly cause: string;
  /** Set when the environment is made for this branch alone, or for this pull request (which no branch is called like). */
  readonly previewBranch?: string;
}

/**
 * Which environments want the release that a ref now points at. The default branch gets no preview: it has its place on the path.
 * @param ref full name: `refs/heads/...`, `refs/tags/...`, or the head of a pull request that comes from a fork
 */
export function planRoutes(
  environments: Readonly<Record<string, Pick<PathEnvironment, 'on' | 'ephemeral'>>>,
  ref: string,
  defaultBranch: string,
): Route[] {
  const pull = pullNumber(ref);
  const branch = ref.startsWith('refs/heads/') ? ref.slice('refs/heads/'.length) : null;
  return Object.entries(environments).flatMap(([environment, { on, ephemeral }]): Route[] => {
    if (on.kind === 'manual') return [];
    if (on.kind === 'pull-request')
      return pull === null ? [] : [{ environment, cause: pullName(pull), previewBranch: pullName(pull) }];
    if (on.kind === 'tag')
      return tagFilter(on.pattern)(ref) ? [{ environment, cause: `tag ${ref.slice('refs/tags/'.length)}` }] : [];
    if (branch === null || !branchFilter(on.pattern)(ref)) return [];
    if (ephemeral === undefined)
      return [{ environment, cause: on.kind === 'merge' ? `merge to ${branch}` : `push to ${branch}` }];
    return branch === defaultBranch ? [] : [{ environment, cause: `push to ${branch}`, previewBranch: branch }];
  });
}

/** A branch has no blanks in its name, so the two are never taken for each other. */
export function pullName(number: number): string {
  return `pull request ${number}`;
}
