import { isBranch, isTag, shortRef } from '../git/ref.ts';
import { compileGlob, type GlobMatch } from '../lib/glob.ts';

/**
 * Which refs a pattern of `towpath.yaml` means: a glob over the short name. As in `git branch --list`, a star does not
 * stop at a slash, so `*` is every branch and `feature/*` also `feature/a/b`.
 */
export function branchFilter(pattern: string): GlobMatch {
  const matches = compileGlob(pattern, 'name');
  return (ref) => isBranch(ref) && matches(shortRef(ref));
}

/** As `branchFilter`, for tags. */
export function tagFilter(pattern: string): GlobMatch {
  const matches = compileGlob(pattern, 'name');
  return (ref) => isTag(ref) && matches(shortRef(ref));
}
