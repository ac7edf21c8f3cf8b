import { compileGlob } from '../../../lib/glob.ts';

/**
 * As osls decides: a file goes in unless the last pattern that matches it begins with `!`. A pattern means files: one
 * that names a folder says nothing of what is below it.
 */
export function fileChooser(patterns: readonly string[]): (path: string) => boolean {
  const rules = patterns.map((pattern) => {
    const leavesOut = pattern.startsWith('!');
    return { leavesOut, matches: compileGlob(leavesOut ? pattern.slice(1) : pattern, 'file') };
  });
  return (path) => rules.findLast(({ matches }) => matches(path))?.leavesOut !== true;
}
