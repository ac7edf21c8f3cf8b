import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { isAlive } from '../../lib/maker.ts';

/**
 * Makes a folder under another name and renames it when it is whole: a kill leaves nothing half-made, and two that
 * make the same at once do not disturb each other.
 * @param directory where drafts lie, on the disk of `final`; what killed servers left there is removed
 */
export async function makeWhole(
  directory: string,
  final: string,
  make: (draft: string) => Promise<void>,
): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  await sweepAbandoned(directory);
  const draft = draftIn(directory);
  try {
    await mkdir(draft, { mode: 0o755 });
    await make(draft);
    await renameUnlessThere(draft, final);
  } finally {
    await removeTree(draft);
  }
}

/** Lets a folder vanish at once for whoever looks, then takes its time to remove what it held. */
export async function removeWhole(directory: string, folder: string): Promise<void> {
  const grave = draftIn(directory);
  await rename(folder, grave);
  await removeTree(grave);
}

/** Removes a folder though folders in it may lack the right to write. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    await makeWritable(path);
    await rm(path, { recursive: true, force: true });
  }
}

function draftIn(directory: string): string {
  return join(directory, `.draft-${process.pid}-${randomBytes(6).toString('hex')}`);
}

async function renameUnlessThere(draft: string, final: string): Promise<void> {
  try {
    await rename(draft, final);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error; // somebody else was first: the same bytes
  }
}

/** Drafts of servers that were killed. A draft's name holds the process that makes it. */
async function sweepAbandoned(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const pid = /^\.draft-(\d+)-[0-9a-f]+$/.exec(name)?.[1];
    if (pid !== undefined && Number(pid) !== process.pid && !isAlive(Number(pid))) {
      await removeTree(join(directory, name));
    }
  }
}

async function makeWritable(path: string): Promise<void> {
  const stat = await lstat(path).catch(() => null);
  if (stat === null || !stat.isDirectory()) return;
  await chmod(path, 0o700);
  for (const name of await readdir(path)) await makeWritable(join(path, name));
}
