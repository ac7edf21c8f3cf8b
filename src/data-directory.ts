import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { holdFileLock } from './git/file-lock.ts';
import { hasCode, TowpathError } from './lib/error.ts';

/**
 * Others of this machine may pass through the data directory (Postgres and services run as users of their own) but see
 * nothing of what is private in it.
 * @throws TowpathError `server.data-unusable`
 */
export async function makeDataDirectory(data: string): Promise<void> {
  try {
    await mkdir(data, { recursive: true, mode: 0o711 });
    for (const own of ['registry', 'mirrors', 'cache', 'proxy']) {
      await mkdir(join(data, own), { recursive: true, mode: 0o700 });
      await chmod(join(data, own), 0o700);
    }
  } catch (cause) {
    const why = UNUSABLE[String((cause as NodeJS.ErrnoException).code)];
    if (why === undefined) throw cause;
    const problem = {
      code: 'server.data-unusable',
      what: `The data directory ${data} cannot be used: ${why}.`,
      fix: 'Give one that belongs to the user who starts the server, with --data or TOWPATH_DATA.',
    };
    throw new TowpathError(problem, { cause });
  }
}

const UNUSABLE: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'it belongs to another user',
  EROFS: 'its file system is read-only',
  ENOENT: 'nothing can be made there, as on a file system that is read-only', // what Node says there of a folder in a folder
  EEXIST: 'a file is in the way',
  ENOTDIR: 'a file is in the way',
};

/** A server that was just told to end, or killed, may need a moment. */
const ENDING_MS = 1000;

/**
 * Makes the directory this server's own, until it ends in whatever way. Two that each believe to rule alone would
 * supervise one Postgres, and both write where the commands of this machine find their server.
 * @returns gives it back
 * @throws TowpathError `server.running`
 */
export async function takeDataDirectory(data: string): Promise<() => Promise<void>> {
  try {
    return await holdFileLock(join(data, 'server.lock'), { waitMs: ENDING_MS });
  } catch (error) {
    if (!hasCode(error, 'git.locked')) throw error;
    throw new TowpathError(
      {
        code: 'server.running',
        what: `Another Towpath server works on the data in ${data}.`,
        fix: 'Use that one, stop it first, or give this one a directory of its own with --data.',
      },
      { cause: error },
    );
  }
}
