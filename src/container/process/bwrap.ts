import { access, lstat, readlink } from 'node:fs/promises';

import {
  type Command,
  type Launcher,
  type LaunchSpec,
  programOf,
  withoutLoaderSettings,
  workdirOf,
} from './launcher.ts';
import { findProgram, runQuietly } from './programs.ts';
import { planView, type ViewMount, type ViewPart } from './view.ts';

/** Files of the machine that programs need to find other machines by name. */
const NETWORK_FILES = ['/etc/resolv.conf', '/etc/hosts'];

/** Where programs of a machine and their libraries are. */
const PROGRAM_FOLDERS = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/etc/ld.so.cache', '/nix', '/gnu'];

/** Where the image is put together before a root process changes into it and gives up being root. */
const STAGE = '/tmp/root';

/**
 * Bubblewrap: the program sees the image as its root folder, read-only, its own /proc, /dev and /tmp, and no other
 * process; the network is the machine's. As another user it works without root, by user namespaces. As root it puts
 * the view together first, then changes into it and becomes the account: so the image may lie where only root reads.
 */
export function bwrapLauncher(): Launcher {
  let known: Promise<boolean> | undefined;
  return {
    name: 'bwrap',
    isolates: true,
    available: () => (known ??= isUsable()),
    prepare,
  };
}

async function prepare(spec: LaunchSpec): Promise<Command> {
  const { argv, env, rootfs } = programOf(spec);
  const view = await planView(rootfs, [...(await networkFiles()), ...(spec.mounts ?? [])]);
  const becomes = isRoot() && spec.account !== null && spec.account.uid !== 0 ? spec.account : null;
  const base = becomes === null ? '' : STAGE;
  const given = becomes === null ? env : withoutLoaderSettings(env);
  const args = [
    '--unshare-pid',
    '--unshare-ipc',
    ...(spec.diesWithUs ? ['--die-with-parent'] : []),
    ...(isRoot() && becomes === null ? ['--cap-drop', 'ALL'] : []),
    ...(becomes === null ? [] : [...(await programsView()), '--dir', STAGE]),
    ...view.flatMap((part) => argumentsOf(part, base)),
    ...view.flatMap((part) => (part.kind === 'tmpfs' && part.sealed ? ['--remount-ro', placeOf(part.to, base)] : [])),
    '--clearenv',
    ...Object.entries(given).flatMap(([name, value]) => ['--setenv', name, value]),
    ...(becomes === null ? ['--chdir', workdirOf(spec)] : []),
  ];
  const inner =
    becomes === null
      ? argv
      : [
          (await findProgram('unshare')) ?? 'unshare',
          `--root=${STAGE}`,
          `--wd=${workdirOf(spec)}`,
          `--setgid=${becomes.gid}`,
          `--setuid=${becomes.uid}`,
          '--',
          ...argv,
        ];
  return {
    argv: [(await findProgram('bwrap')) ?? 'bwrap', '--args', '3', '--', ...inner],
    env: { ...pick(env, ['TOWPATH_INSTANCE']) },
    cwd: '/',
    account: null,
    awaited: args.map((arg) => `${arg}\0`).join(''),
    finish: () => Promise.resolve(),
  };
}

function argumentsOf(part: ViewPart, base: string): string[] {
  const to = placeOf(part.to, base);
  switch (part.kind) {
    case 'bind':
      return [part.writable ? '--bind' : '--ro-bind', part.from, to];
    case 'symlink':
      return ['--symlink', part.target, to];
    case 'tmpfs':
      return ['--perms', part.mode, '--tmpfs', to];
    case 'folder':
      return ['--perms', '0755', '--dir', to];
    case 'proc':
      return ['--proc', to];
    case 'dev':
      return ['--dev', to];
    default:
      return part satisfies never;
  }
}

function placeOf(to: string, base: string): string {
  return base === '' ? to : to === '/' ? base : `${base}${to}`;
}

/**
 * What programs of this machine need of it, and no more: bubblewrap binds a folder with all that is mounted in it, and gives up
 * where one of those is taken away meanwhile, as an engine does each time a container ends.
 */
async function programsView(): Promise<string[]> {
  const parts = await Promise.all(
    PROGRAM_FOLDERS.map(async (path) => {
      const found = await lstat(path).catch(() => null);
      if (found === null) return [];
      return found.isSymbolicLink() ? ['--symlink', await readlink(path), path] : ['--ro-bind', path, path];
    }),
  );
  return parts.flat();
}

async function networkFiles(): Promise<ViewMount[]> {
  const mounts = NETWORK_FILES.map(async (file) =>
    (await access(file).then(
      () => true,
      () => false,
    ))
      ? [{ from: file, to: file, writable: false }]
      : [],
  );
  return (await Promise.all(mounts)).flat();
}

async function isUsable(): Promise<boolean> {
  const [bwrap, nothing, unshare] = await Promise.all(['bwrap', 'true', 'unshare'].map((name) => findProgram(name)));
  if (bwrap === null || nothing === null || nothing === undefined || bwrap === undefined) return false;
  const view = ['--unshare-pid', ...(await programsView()), '--proc', '/proc', '--dev', '/dev', '--'];
  if (!isRoot()) return (await runQuietly([bwrap, ...view, nothing])) === 0;
  if (unshare === null || unshare === undefined) return false;
  return (
    (await runQuietly([bwrap, ...view, unshare, '--root=/', '--wd=/', '--setgid=65534', '--setuid=65534', nothing])) ===
    0
  );
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

function pick(env: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => names.includes(name)));
}
