import { createHash } from 'node:crypto';
import { chmod, chown, lstat, mkdir, readdir, realpath, rmdir, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

import { StoreError } from '../error.ts';
import { canReach } from './user.ts';
import type { ServerUser } from './user.ts';

export interface Home {
  /** The real folder, which the server's user owns and can reach: `data/`, `postgres.log`, perhaps a copy of the programs. */
  readonly directory: string;
  /** The folder of the Unix socket: in the home, or in the temporary folder where that path would be too long. */
  readonly sockets: string;
}

/** Linux allows 107 bytes for a socket's path, macOS 103. */
const LONGEST_SOCKET_PATH = 103;
const SOCKET_FILE = '/.s.PGSQL.5432';

/** Where root keeps what an ordinary user must reach, when the asked-for folder lies under a closed one (`/root`). */
const OPEN_PLACE = '/var/lib/towpath';

/**
 * Makes the folder of the server. When we are root and the user that Postgres steps down to cannot pass through the folders
 * above, the real folder is made under `/var/lib/towpath` and `directory` becomes a link to it, so that it is found again.
 */
export async function prepareHome(directory: string, user: ServerUser): Promise<Home> {
  const asked = resolve(directory);
  await mkdir(asked, { recursive: true });
  let real = await realpath(asked);
  if (user.uid !== undefined && !(await canReach(dirname(real), user))) real = await moveOut(asked);
  await own(real, user);
  const inside = join(real, 'run');
  const sockets =
    Buffer.byteLength(inside + SOCKET_FILE) <= LONGEST_SOCKET_PATH
      ? inside
      : join(tmpdir(), `towpath-${shortHash(real)}`);
  await own(sockets, user);
  return { directory: real, sockets };
}

async function moveOut(asked: string): Promise<string> {
  const outside = join(OPEN_PLACE, `pg-${shortHash(asked)}`);
  await mkdir(OPEN_PLACE, { recursive: true, mode: 0o755 });
  await mkdir(outside, { recursive: true });
  if ((await readdir(asked)).length > 0) {
    throw new StoreError({
      code: 'store.embedded-unreachable',
      what: `The database in "${asked}" cannot be reached by the user that Postgres must run as.`,
      fix: 'Move it to a folder whose parents others may pass through, or let others pass (chmod o+x) through its parents.',
    });
  }
  await rmdir(asked);
  await symlink(outside, asked);
  return realpath(asked);
}

async function own(folder: string, user: ServerUser): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const found = await lstat(folder);
  const mine = [user.uid, process.getuid?.()];
  if (!found.isDirectory() || !mine.includes(found.uid)) {
    throw new StoreError({
      code: 'store.embedded-foreign',
      what: `The folder "${folder}" belongs to another user of this machine.`,
      fix: 'Choose another data directory with --data.',
    });
  }
  if (user.uid !== undefined && found.uid !== user.uid) await chown(folder, user.uid, user.gid);
  await chmod(folder, 0o700);
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
