import type { Stats } from 'node:fs';
import { lstat, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { ContainerError } from '../container-error.ts';
import { cloneTree } from '../rootfs/clone.ts';
import { removeTree } from '../rootfs/folders.ts';
import { pathInRoot } from '../rootfs/root-path.ts';
import type { Account } from './launcher.ts';
import { findProgram, runQuietly } from './programs.ts';
import type { ViewMount } from './view.ts';

export interface CopiedView {
  readonly root: string;
  /** Brings back what was written to writable mounts. */
  finish(): Promise<void>;
}

/**
 * A throw-away copy of an image with the mounts copied into it, for machines that allow no mounts. Files that the
 * account may not write to are lent, not copied. The image stays clean; a writable mount gets its content back at the
 * end.
 */
export async function copyView(
  rootfs: string,
  mounts: readonly ViewMount[],
  scratch: string,
  account: Account | null,
): Promise<CopiedView> {
  const root = join(scratch, 'root');
  await cloneTree(rootfs, root, (file) => !mayWrite(account, file));
  if (!isRoot()) await run(['chmod', '-R', 'u+w', root]);
  const placed: (ViewMount & { place: string; isFolder: boolean })[] = [];
  for (const mount of [...mounts].sort((a, b) => a.to.length - b.to.length)) {
    const place = join(root, await pathInRoot(root, mount.to));
    await mkdir(dirname(place), { recursive: true });
    await removeTree(place); // a mount hides what the image has there, and files that were lent must not become writable
    const isFolder = (await lstat(mount.from)).isDirectory();
    if (isFolder) await mkdir(place, { recursive: true });
    await copy(isFolder ? `${mount.from}/.` : mount.from, place);
    if (mount.writable && account !== null && isRoot())
      await run(['chown', '-R', `${account.uid}:${account.gid}`, place]);
    placed.push({ ...mount, place, isFolder });
  }
  return {
    root,
    finish: async () => {
      for (const { place, from, writable, isFolder } of placed) {
        if (writable) await copy(isFolder ? `${place}/.` : place, from);
      }
    },
  };
}

/** Without an account of its own the program runs as we do, and may write to all. */
function mayWrite(account: Account | null, { uid, gid, mode }: Stats): boolean {
  if (account === null || account.uid === 0 || !isRoot()) return true;
  const byGroup = gid === account.gid && (mode & 0o020) !== 0;
  return uid === account.uid || byGroup || (mode & 0o002) !== 0;
}

function copy(from: string, to: string): Promise<void> {
  return run(process.platform === 'linux' ? ['cp', '-a', '--reflink=auto', '--', from, to] : ['cp', '-a', from, to]);
}

async function run([name, ...args]: readonly [string, ...string[]]): Promise<void> {
  const program = await findProgram(name);
  if (program !== null && (await runQuietly([program, ...args], { timeoutMs: 600_000 })) === 0) return;
  throw new ContainerError({
    code: 'container.copy-failed',
    what: `The image could not be copied for this run (\`${name}\` failed).`,
    fix: 'Check that the disk has room, or install bubblewrap, which needs no copy.',
  });
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}
