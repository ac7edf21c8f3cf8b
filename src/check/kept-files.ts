import { z } from 'zod';

import type { Digest } from '../lib/digest.ts';
import { compileGlob } from '../lib/glob.ts';

/** A file that a run has left for people to see. */
export interface KeptFile {
  /** Relative to the service, as the program wrote it; those of a try that did not pass stand under `try-1/` and so on. */
  readonly path: string;
  readonly digest: Digest;
  readonly size: number;
}

/** What a run has left. */
export interface KeptFiles {
  readonly files: readonly KeptFile[];
  /** Files, links and others that were not kept. */
  readonly leftOut: number;
}

/** Where the files of a run go. */
export interface FileKeeper {
  readonly patterns: readonly string[];
  /** The same bytes may come twice. */
  readonly store: (bytes: Buffer) => Promise<Digest>;
}

/** Of one try: what a report with pictures, a film and a trace needs, and a program that writes without end does not get. */
export const KEPT = { files: 200, fileBytes: 20 * 1024 * 1024, bytes: 50 * 1024 * 1024, looked: 20_000 } as const;

const LONGEST_PATH = 400;
const WILD = /[*?[\]{}\\]/;

/** `shots/` is a folder with all in it, `reports/*.png` files in one. The folder is made for the program, so it must have a name. */
export const KeepPattern = z
  .string('a folder such as playwright-report/, or files in one such as shots/*.png')
  .max(LONGEST_PATH, `a path of at most ${LONGEST_PATH} characters`)
  .regex(/^[^\p{Cc}\\]*$/u, 'a path without control characters and backslashes')
  .refine(
    (path) => !path.startsWith('/') && !path.split('/').some((part) => part === '..' || part === '.'),
    'a relative path that stays inside',
  )
  .refine((path) => rootOf(path) !== '', 'a folder such as playwright-report/, or files in one such as shots/*.png')
  .transform((path) => path.replaceAll(/\/{2,}/g, '/'));

/** The folders that the program finds made and may write to, none inside another. */
export function rootsOfKept(patterns: readonly string[]): string[] {
  const roots = [...new Set(patterns.map(rootOf))];
  return roots.filter((root) => !roots.some((other) => root.startsWith(`${other}/`)));
}

/** @param found what lies under the roots, relative to the service */
export function planKept<File extends { readonly path: string; readonly size: number }>(
  patterns: readonly string[],
  found: readonly File[],
): { readonly keep: readonly File[]; readonly leftOut: number } {
  const globs = patterns.map((pattern) => compileGlob(pattern, 'path'));
  const wanted = found
    .filter(({ path }) => globs.some((isMatch) => isMatch(path)))
    .toSorted((one, other) => (one.path < other.path ? -1 : 1));
  const keep: File[] = [];
  let bytes = 0;
  for (const file of wanted) {
    if (keep.length >= KEPT.files || file.size > KEPT.fileBytes || bytes + file.size > KEPT.bytes) continue;
    if (file.path.length > LONGEST_PATH || /\p{Cc}|\uFFFD/u.test(file.path)) continue;
    keep.push(file);
    bytes += file.size;
  }
  return { keep, leftOut: wanted.length - keep.length };
}

/** What several tries have left together. @param kept in the order of the tries; the last keeps its names */
export function keptOfTries(kept: readonly (KeptFiles | undefined)[]): KeptFiles | undefined {
  if (kept.every((one) => one === undefined)) return undefined;
  return {
    files: kept.flatMap((one, index) =>
      (one?.files ?? []).map((file) =>
        index === kept.length - 1 ? file : { ...file, path: `try-${index + 1}/${file.path}` },
      ),
    ),
    leftOut: kept.reduce((sum, one) => sum + (one?.leftOut ?? 0), 0),
  };
}

/** The folder before the first wildcard; of a file the one it lies in. */
function rootOf(pattern: string): string {
  const parts = pattern.split('/');
  const wild = parts.findIndex((part) => WILD.test(part));
  return parts
    .slice(0, wild === -1 ? -1 : wild)
    .filter((part) => part !== '')
    .join('/');
}
