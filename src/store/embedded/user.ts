import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { StoreError } from '../error.ts';

/** Whom Postgres runs as; empty where it runs as ourselves. Postgres refuses to run as root. */
export type ServerUser = { readonly uid: number; readonly gid: number } | Record<string, never>;

const CANDIDATES = ['towpath', 'node', 'nobody'];

/** @throws StoreError `store.embedded-user` when we are root and the machine has none of the users we would step down to */
export async function serverUser(): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return {};
  const passwd = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n').map((line) => line.split(':'));
  for (const candidate of CANDIDATES) {
    const [, , uid, gid] = passwd.find(([name]) => name === candidate) ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new StoreError({
    code: 'store.embedded-user',
    what: `Postgres refuses to run as root, and this machine has none of the users ${CANDIDATES.join(', ')}.`,
    fix: 'Run Towpath as an ordinary user, or add a user named "towpath".',
  });
}

/** True when `user` may pass through every folder above `path` and through `path` itself. */
export async function canReach(path: string, user: ServerUser): Promise<boolean> {
  if (user.uid === undefined) return true;
  for (let folder = path; ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}
