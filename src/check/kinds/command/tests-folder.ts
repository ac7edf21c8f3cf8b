import { constants } from 'node:fs';
import { chmod, mkdir, mkdtemp, open, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';

import type { SourceTree, TreeEntry } from '../../../git/tree.ts';
import { MAKER } from '../../../lib/maker.ts';
import { CheckError } from '../../error.ts';

/** A temporary folder with the tests of one run; it is mounted over the image, which stays as it is. */
export interface TestsFolder {
  readonly path: string;
  /** A text that the program has written; `wrong` says why there is none, and follows its name. */
  read(path: string, limitBytes: number): Promise<{ readonly text: string } | { readonly wrong: string }>;
  /** Names of what the program has put into a folder, sorted; none where that is no folder. */
  list(path: string): Promise<string[]>;
  remove(): Promise<void>;
}

/**
 * Writes the entries as they are in git, and makes the `writable` folders that anyone may write to, whichever user
 * the image runs as.
 * @throws CheckError `check.source-unreadable` for a submodule or a link that leaves the folder
 */
export async function writeTestsFolder(
  directory: string,
  source: SourceTree,
  entries: readonly TreeEntry[],
  writable: readonly string[],
): Promise<TestsFolder> {
  await mkdir(directory, { recursive: true });
  const path = await mkdtemp(join(directory, PREFIX));
  try {
    await chmod(path, 0o755);
    await source.prefetch(entries.map(({ oid }) => oid));
    for (const entry of entries) await writeEntry(path, source, entry);
    for (const folder of writable) {
      await mkdir(join(path, folder), { recursive: true });
      await chmod(join(path, folder), 0o777);
    }
  } catch (error) {
    await rm(path, { recursive: true, force: true });
    throw error;
  }
  return {
    path,
    read: (file, limitBytes) => readInside(path, file, limitBytes),
    list: (folder) => listInside(path, folder),
    remove: () => rm(path, { recursive: true, force: true }),
  };
}

/** Whoever sweeps knows by it whether the server that made it still lives. */
const PREFIX = `check-${MAKER}-`;

async function writeEntry(root: string, source: SourceTree, { mode, oid, path }: TreeEntry): Promise<void> {
  const parts = path.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..') || path.includes('\0'))
    throw unreadable(path, 'has a name that no folder can hold');
  const to = join(root, path);
  await mkdir(dirname(to), { recursive: true });
  if (mode === '160000') throw unreadable(path, 'is a submodule');
  const bytes = await source.read(oid);
  if (mode === '120000') {
    const target = bytes.toString();
    const reached = join(dirname(to), target);
    if (target.startsWith('/') || !`${reached}${sep}`.startsWith(`${root}${sep}`))
      throw unreadable(path, 'is a link that leaves the folder');
    await symlink(target, to);
  } else {
    // `wx`: a name that differs only in case may not be written through an entry before it
    await writeFile(to, bytes, { flag: 'wx', mode: mode === '100755' ? 0o755 : 0o644 });
  }
}

async function listInside(root: string, folder: string): Promise<string[]> {
  try {
    const real = await realpath(join(root, folder));
    return real === join(await realpath(root), folder) ? (await readdir(real)).toSorted() : [];
  } catch {
    return [];
  }
}

/** The program may have put a link or a pipe where the report should be: neither is followed nor waited for. */
async function readInside(
  root: string,
  file: string,
  limitBytes: number,
): Promise<{ readonly text: string } | { readonly wrong: string }> {
  try {
    const real = await realpath(join(root, file));
    if (real !== join(await realpath(root), file)) return { wrong: 'is a link' };
    const handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const found = await handle.stat();
      if (!found.isFile()) return { wrong: 'is no file' };
      if (found.size > limitBytes) return { wrong: `has more than ${limitBytes / 1024 / 1024} MB` };
      return textOf(await handle.readFile());
    } finally {
      await handle.close();
    }
  } catch (error) {
    return { wrong: (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'is not there' : 'cannot be read' };
  }
}

/** UTF-8, or UTF-16 with the mark that Windows puts before it. */
function textOf(bytes: Buffer): { readonly text: string } | { readonly wrong: string } {
  const isUtf16 = bytes[0] === 0xff && bytes[1] === 0xfe;
  try {
    return { text: new TextDecoder(isUtf16 ? 'utf-16le' : 'utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { wrong: 'is not UTF-8' };
  }
}

function unreadable(path: string, why: string): CheckError {
  return new CheckError({
    code: 'check.source-unreadable',
    what: `The test file ${JSON.stringify(path)} ${why}.`,
    fix: 'Take it out of what the check mounts.',
  });
}
