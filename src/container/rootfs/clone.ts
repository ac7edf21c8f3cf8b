import { constants, type Stats } from 'node:fs';
import { copyFile, chmod, lchown, link, lstat, mkdir, readdir, readlink, symlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';

const NO_LINK = ['EMLINK', 'EPERM', 'EXDEV', 'ENOTSUP'];

/** What a clone holds. */
export interface Cloned {
  readonly entries: number;
  /** Of all files. */
  readonly bytes: number;
  /** Relative paths, parents first, with the modes that the folders had. */
  readonly folders: readonly (readonly [path: string, mode: number])[];
}

/**
 * Makes a second tree of the same content: its files are further names of the same files, so it takes no room and
 * little time. Whoever may write into one of the trees must not be lent those files: they are copied.
 * @param to is not there yet; its folders can be written to by their owner, whatever their modes were
 * @param lend false for a file that has to be copied
 */
export async function cloneTree(from: string, to: string, lend: (file: Stats) => boolean): Promise<Cloned> {
  const folders: [string, number][] = [];
  let entries = 0;
  let bytes = 0;
  const clone = async (path: string, stat: Stats): Promise<void> => {
    const source = join(from, path);
    const place = join(to, path);
    if (path !== '') entries += 1;
    if (stat.isDirectory()) {
      folders.push([path, stat.mode & 0o7777]);
      await mkdir(place, { mode: (stat.mode & 0o7777) | 0o700 });
      await chmod(place, (stat.mode & 0o7777) | 0o700); // whatever the umask is
      await own(place, stat);
      const names = await readdir(source);
      await Promise.all(names.map(async (name) => clone(join(path, name), await lstat(join(source, name)))));
    } else if (stat.isSymbolicLink()) {
      await symlink(await readlink(source), place);
      await own(place, stat);
    } else {
      bytes += stat.size;
      if (!lend(stat) || !(await linked(source, place))) await copied(source, place, stat);
    }
  };
  await clone('', await lstat(from));
  return { entries, bytes, folders: folders.sort(([a], [b]) => (a < b ? -1 : 1)) };
}

/** @returns false where the file system gives no further name */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (!NO_LINK.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return false;
  }
}

async function copied(from: string, to: string, stat: Stats): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  await own(to, stat);
  await chmod(to, stat.mode & 0o7777);
  await utimes(to, stat.atime, stat.mtime);
}

async function own(path: string, { uid, gid }: Stats): Promise<void> {
  if (process.geteuid?.() === 0) await lchown(path, uid, gid);
}
