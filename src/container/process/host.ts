import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { basename, delimiter, join } from 'node:path';

import { pathInRoot } from '../rootfs/root-path.ts';
import { copyView } from './copy.ts';
import { type Account, type Command, type Launcher, type LaunchSpec, programOf, workdirOf } from './launcher.ts';
import { runQuietly } from './programs.ts';

/**
 * The last resort, and the only way on a machine that is not Linux: the image's program runs as a plain process of the
 * host, in the image's folder. Arguments and the search path that name files of the image are led there. Where the
 * image's `node` does not run on this machine, the Node that runs Towpath takes its place. Nothing is isolated.
 */
export function hostLauncher(): Launcher {
  return { name: 'host', isolates: false, available: () => Promise.resolve(true), prepare };
}

async function prepare(spec: LaunchSpec, scratch: string): Promise<Command> {
  const { argv, env, rootfs } = programOf(spec);
  const copy =
    (spec.mounts ?? []).length === 0 ? null : await copyView(rootfs, spec.mounts ?? [], scratch, spec.account);
  const root = copy?.root ?? rootfs;
  const [program, ...rest] = argv;
  const account = process.geteuid?.() === 0 ? spec.account : null;
  return {
    argv: [
      await programIn(root, program, env['PATH'] ?? '', account),
      ...(await Promise.all(rest.map((arg) => led(root, arg)))),
    ],
    env: { ...env, PATH: await pathOf(root, env['PATH'] ?? '') },
    cwd: join(root, await pathInRoot(root, workdirOf(spec))),
    account,
    finish: async () => copy?.finish(),
  };
}

/** A program of an image never runs as root here, not even to tell its version. */
async function programIn(root: string, program: string, path: string, account: Account | null): Promise<string> {
  const candidates = program.includes('/') ? [program] : path.split(':').map((folder) => join(folder, program));
  for (const candidate of candidates) {
    const inside = join(root, await pathInRoot(root, candidate));
    if (!(await isProgram(inside))) continue;
    if (basename(program) !== 'node') return inside;
    return (await runQuietly([inside, '--version'], { account })) === 0 ? inside : process.execPath;
  }
  return basename(program) === 'node' ? process.execPath : program;
}

/** An absolute path that exists in the image means the image's file. */
async function led(root: string, arg: string): Promise<string> {
  if (!arg.startsWith('/')) return arg;
  const inside = join(root, await pathInRoot(root, arg));
  return (await access(inside).then(
    () => true,
    () => false,
  ))
    ? inside
    : arg;
}

async function pathOf(root: string, path: string): Promise<string> {
  const inside = await Promise.all(path.split(':').map((folder) => led(root, folder)));
  return [...inside.filter((folder) => folder.startsWith(root)), process.env['PATH'] ?? ''].join(delimiter);
}

async function isProgram(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  if (found === null || !found.isFile()) return false;
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
