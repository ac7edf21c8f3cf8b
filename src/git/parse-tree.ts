import { GitError } from './git-error.ts';
import type { GitMode, TreeEntry } from './tree.ts';

/** An entry as a tree object holds it. `name` is bytes: git does not promise text. */
export interface RawTreeEntry {
  readonly mode: GitMode;
  readonly oid: string;
  readonly name: Buffer;
}

/**
 * Reads one tree object.
 * @param oidBytes 20 for sha1 repositories, 32 for sha256 ones
 * @throws GitError `git.tree-malformed`
 */
export function parseTree(bytes: Buffer, oidBytes: number): RawTreeEntry[] {
  const entries: RawTreeEntry[] = [];
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(32, at);
    const nul = bytes.indexOf(0, space);
    const end = nul + 1 + oidBytes;
    if (space === -1 || nul === -1 || end > bytes.length) throw malformed();
    entries.push({
      mode: modeOf(bytes.toString('latin1', at, space)),
      oid: bytes.toString('hex', nul + 1, end),
      name: bytes.subarray(space + 1, nul),
    });
    at = end;
  }
  return entries;
}

/**
 * Reads what `git ls-tree -r -z` prints, in its order: the byte order of the paths.
 * @throws GitError `git.tree-malformed`, `git.name-not-utf8`
 */
export function parseTreeListing(listing: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let at = 0; at < listing.length;) {
    const nul = listing.indexOf(0, at);
    const tab = listing.indexOf(9, at);
    if (nul === -1 || tab === -1 || tab > nul) throw malformed();
    const [mode = '', , oid = ''] = listing.toString('latin1', at, tab).split(' ');
    entries.push({ mode: modeOf(mode), oid, path: pathOf(listing.subarray(tab + 1, nul)) });
    at = nul + 1;
  }
  return entries;
}

/** The modes that very old git wrote (`100664`) mean what today's nearest one means. */
function modeOf(text: string): GitMode {
  switch (text.padStart(6, '0')) {
    case '040000':
      return '040000';
    case '120000':
      return '120000';
    case '160000':
      return '160000';
    default: {
      const mode = Number.parseInt(text, 8);
      if ((mode & 0o170000) !== 0o100000) throw malformed();
      return (mode & 0o100) === 0 ? '100644' : '100755';
    }
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A name as text. @throws GitError `git.name-not-utf8` */
export function pathOf(bytes: Buffer): string {
  let path: string;
  try {
    path = decoder.decode(bytes);
  } catch {
    throw new GitError({
      code: 'git.name-not-utf8',
      what: `A file name in the repository is not UTF-8: ${JSON.stringify(bytes.toString('latin1'))}.`,
      fix: 'Rename the file: an image built from it would depend on the machine that reads the name.',
    });
  }
  if (path.split('/').some((part) => part === '' || part === '.' || part === '..' || part.toLowerCase() === '.git'))
    throw malformed();
  return path;
}

function malformed(): GitError {
  return new GitError({
    code: 'git.tree-malformed',
    what: 'A tree of the repository is not as git writes it.',
    fix: 'Run `git fsck` on the repository; a tree made by hand may be an attack.',
  });
}
