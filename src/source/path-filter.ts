import { compileGlob } from '../lib/glob.ts';

/** Paths of a monorepo: globs relative to the root; one that names a folder means all below it, `.` means everything. */
export interface PathFilter {
  readonly include: readonly string[];
  readonly exclude?: readonly string[] | undefined;
}

/** Compiles a filter to a question about one path. */
export function pathFilter({ include, exclude = [] }: PathFilter): (path: string) => boolean {
  const included = include.map(matcher);
  const excluded = exclude.map(matcher);
  return (path) => included.some((matches) => matches(path)) && !excluded.some((matches) => matches(path));
}

function matcher(pattern: string): (path: string) => boolean {
  return /^\.?\/*$/.test(pattern) ? () => true : compileGlob(pattern, 'path');
}
