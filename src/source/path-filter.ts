import type { TreeEntry } from '../git/tree.ts';
import { compileGlob } from '../lib/glob.ts';

/** Paths of a monorepo: globs relative to the root; one that names a folder means all below it, `.` means everything. */
export interface PathFilter {
  readonly include: readonly string[];
  readonly exclude?: readonly string[] | undefined;
}

export interface PathSelection {
  /** In the order given. */
  readonly entries: readonly TreeEntry[];
  /** Patterns of `include` that nothing matches, sorted: a path that is not there counts too, else adding it would go unseen. */
  readonly absent: readonly string[];
}

/** Compiles a filter to a question about one path. */
export function pathFilter({ include, exclude = [] }: PathFilter): (path: string) => boolean {
  const included = include.map(matcher);
  const excluded = exclude.map(matcher);
  return (path) => included.some((matches) => matches(path)) && !excluded.some((matches) => matches(path));
}

export function selectPaths(entries: readonly TreeEntry[], filter: PathFilter): PathSelection {
  const accepts = pathFilter(filter);
  const selected = entries.filter(({ path }) => accepts(path));
  const absent = filter.include.filter((pattern) => {
    const matches = matcher(pattern);
    return !selected.some(({ path }) => matches(path));
  });
  return { entries: selected, absent: absent.sort() };
}

/** Which of several filters (one for each service) a set of changed paths touches. */
export function touchedBy(
  changedPaths: readonly string[],
  filters: Readonly<Record<string, PathFilter>>,
): readonly string[] {
  return Object.entries(filters)
    .filter(([, filter]) => changedPaths.some(pathFilter(filter)))
    .map(([name]) => name);
}

function matcher(pattern: string): (path: string) => boolean {
  return /^\.?\/*$/.test(pattern) ? () => true : compileGlob(pattern, 'path');
}
