import { readTar } from '../../oci/tar-reader.ts';

/** A file of an unpacked package: `path` is relative to the package. */
export interface PackageFile {
  readonly executable: boolean;
  readonly body: Buffer;
}

/**
 * The files that npm would write for a package's tarball (as pacote does): the first folder is stripped; links,
 * devices and empty folders are dropped; `.gitignore` becomes `.npmignore` unless there is one already.
 * @returns in the order of the archive, a later file instead of an earlier one
 */
export function packageFiles(archive: Buffer): Map<string, PackageFile> {
  const files = new Map<string, PackageFile>();
  const ignores = new Set<string>();
  for (const { path, type, mode, body } of readTar(archive)) {
    if (type !== '0' || path.endsWith('/')) continue;
    const renamed = npmignoreName(path, ignores);
    const inside = renamed === null ? null : withoutFirstFolder(renamed);
    if (inside === null) continue;
    files.delete(inside);
    files.set(inside, { executable: (mode & 0o100) !== 0, body });
  }
  return files;
}

function npmignoreName(path: string, ignores: Set<string>): string | null {
  if (/(^|\/)\.npmignore$/.test(path)) ignores.add(path);
  if (!/(^|\/)\.gitignore$/.test(path)) return path;
  const renamed = path.replace(/\.gitignore$/, '.npmignore');
  return ignores.has(renamed) ? null : renamed;
}

/** Null for what would land outside the package, or is not below a folder. */
function withoutFirstFolder(path: string): string | null {
  const parts = path.split('/');
  if (parts.length < 2 || parts.includes('..')) return null;
  const inside = parts.slice(1).filter((part) => part !== '' && part !== '.');
  return inside.length === 0 ? null : inside.join('/');
}
