import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { copyView } from './copy.ts';
import {
  type Command,
  type Launcher,
  type LaunchSpec,
  programOf,
  withoutLoaderSettings,
  workdirOf,
} from './launcher.ts';
import { findProgram, runQuietly } from './programs.ts';

/** Device nodes that programs take for granted: name, major, minor. */
const DEVICES = [
  ['null', '1', '3'],
  ['zero', '1', '5'],
  ['full', '1', '7'],
  ['random', '1', '8'],
  ['urandom', '1', '9'],
] as const;

/**
 * For root where no mounts are allowed, as in many containers: a throw-away copy of the image becomes the root folder.
 * The program sees no file of the machine, but its processes and its network.
 */
export function chrootLauncher(): Launcher {
  let known: Promise<boolean> | undefined;
  return { name: 'chroot', isolates: true, available: () => (known ??= isUsable()), prepare };
}

async function prepare(spec: LaunchSpec, scratch: string): Promise<Command> {
  const { argv, env, rootfs } = programOf(spec);
  const account = spec.account ?? { uid: 0, gid: 0 };
  const copy = await copyView(rootfs, spec.mounts ?? [], scratch, account);
  await mkdir(join(copy.root, 'tmp'), { recursive: true });
  await chmod(join(copy.root, 'tmp'), 0o1777);
  await makeDevices(copy.root);
  return {
    argv: [
      (await findProgram('unshare')) ?? 'unshare',
      `--root=${copy.root}`,
      `--wd=${workdirOf(spec)}`,
      `--setgid=${account.gid}`,
      `--setuid=${account.uid}`,
      '--',
      ...argv,
    ],
    env: withoutLoaderSettings(env),
    cwd: '/',
    account: null,
    finish: () => copy.finish(),
  };
}

/** Where nodes may not be made, programs have to do without. */
async function makeDevices(root: string): Promise<void> {
  const mknod = await findProgram('mknod');
  await mkdir(join(root, 'dev'), { recursive: true });
  if (mknod === null) return;
  for (const [name, major, minor] of DEVICES) {
    await runQuietly([mknod, '-m', '666', join(root, 'dev', name), 'c', major, minor]);
  }
}

async function isUsable(): Promise<boolean> {
  if (process.geteuid?.() !== 0) return false;
  const [unshare, nothing] = await Promise.all([findProgram('unshare'), findProgram('true')]);
  if (unshare === null || nothing === null) return false;
  return (await runQuietly([unshare, '--root=/', '--wd=/', '--setgid=65534', '--setuid=65534', '--', nothing])) === 0;
}
