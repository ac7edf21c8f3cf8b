import { access, chown, constants, mkdir, open, readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { Account } from '../../container/process/launcher.ts';
import { sha256Hex } from '../../lib/digest.ts';
import { DeployError } from '../deploy-error.ts';

/** In memory where the system offers it, so that values never reach a disk. */
const MEMORY = '/dev/shm';

/** Writes the secrets of an instance as files that only its account may read. @returns their folder */
export async function writeSecrets(
  directory: string,
  id: string,
  secrets: ReadonlyMap<string, string>,
  account: Account | null,
): Promise<string> {
  const folder = await folderOf(directory, id);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const [name, value] of secrets) {
    if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(name)) throw badName();
    const file = await open(join(folder, name), 'wx', 0o400);
    try {
      await file.writeFile(value);
      if (account !== null) await file.chown(account.uid, account.gid);
    } finally {
      await file.close();
    }
  }
  if (account !== null) await chown(folder, account.uid, account.gid);
  return folder;
}

/** What was written, by name; of what was lost (the memory of a machine that restarted) nothing. */
export async function readSecrets(directory: string, id: string): Promise<Map<string, string>> {
  const folder = await folderOf(directory, id);
  const values = new Map<string, string>();
  for (const name of await readdir(folder).catch(() => [])) {
    const value = await readFile(join(folder, name), 'utf8').catch(() => null);
    if (value !== null) values.set(name, value);
  }
  return values;
}

export async function removeSecrets(directory: string, id: string): Promise<void> {
  await rm(await folderOf(directory, id), { recursive: true, force: true });
  await rm(join(directory, id, 'secrets'), { recursive: true, force: true });
}

/** Removes the folder of a target's secrets once no instance is left. */
export async function clearSecrets(directory: string): Promise<void> {
  await rmdir(dirname(await folderOf(directory, 'any'))).catch(() => undefined);
}

async function folderOf(directory: string, id: string): Promise<string> {
  const inMemory =
    process.platform === 'linux' &&
    (await access(MEMORY, constants.W_OK).then(
      () => true,
      () => false,
    ));
  if (!inMemory) return join(directory, id, 'secrets');
  const ours = join(MEMORY, `towpath-${process.geteuid?.() ?? 0}-${sha256Hex(directory).slice(0, 16)}`);
  await mkdir(ours, { mode: 0o711 }).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
    const handle = await open(ours, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    const { uid } = await handle.stat();
    await handle.close();
    if (uid !== (process.geteuid?.() ?? 0)) throw notOurs(ours); // in a folder open to all, somebody made it first
  });
  return join(ours, id);
}

function badName(): DeployError {
  return new DeployError({
    code: 'deploy.secret-name',
    what: 'A secret has a name that cannot be the name of a file.',
    fix: 'Use letters, digits, `_`, `-` and `.` for the names of secrets in towpath.yaml.',
  });
}

function notOurs(folder: string): DeployError {
  return new DeployError({
    code: 'deploy.secret-folder',
    what: `The folder ${folder} belongs to another user of this machine.`,
    fix: 'Find out who made it, and remove it.',
  });
}
