import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ContainerError } from '../container-error.ts';
import { pathInRoot } from '../rootfs/root-path.ts';
import type { ImageOnMachine, RunResult, RunSpec, TaskRunner } from '../runtime.ts';

/** A way to run a program of an unpacked image: it turns a spec into the command line that does it on this machine. */
export interface Launcher {
  readonly name: Exclude<TaskRunner['name'], 'docker'>;
  /** False where the program can reach the machine's files. */
  readonly isolates: boolean;
  /** Tries it out: programs that are installed but not allowed to work are common in containers. */
  available(): Promise<boolean>;
  /**
   * @param scratch an empty folder of this run alone, removed after `finish`
   * @param account who it runs as, where this process may choose (it is root); else it runs as this process does
   */
  prepare(spec: LaunchSpec, scratch: string): Promise<Command>;
}

export interface LaunchSpec extends RunSpec {
  /** Who it runs as; only where this process is root, else it runs as this process does. */
  readonly account: Account | null;
  /** True for a task, which must not outlive this process; a service does. */
  readonly diesWithUs: boolean;
}

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

export interface Command {
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly account: Account | null;
  /** Written to descriptor 3, which the program reads to its end before it does anything: it is in its limits by then. */
  readonly awaited?: string;
  /** Whether such an end means that it wanted more memory than its limit; for a launcher that holds limits itself. */
  wentOutOfMemory?(result: RunResult): boolean;
  /** Undoes what `prepare` did outside the scratch folder, and brings back what a copy of a writable mount holds. */
  finish(): Promise<void>;
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Settings with which a program loads other code or data into itself: never applied while a helper still is root. */
const LOADER = /^(LD_|GLIBC_TUNABLES$|GCONV_PATH$|LOCPATH$|NLSPATH$|MALLOC_)/;

/** What the image and the spec together say to run. @throws ContainerError `container.no-command`, `container.not-unpacked` */
export function programOf(spec: RunSpec): { argv: [string, ...string[]]; env: Record<string, string>; rootfs: string } {
  const [program, ...rest] = spec.argv ?? [...spec.image.config.entrypoint, ...spec.image.config.command];
  if (program === undefined) {
    throw new ContainerError({
      code: 'container.no-command',
      what: `The image ${spec.image.reference} says nothing of what to run.`,
      fix: 'Give the service a `command` in towpath.yaml, or the image an entrypoint.',
    });
  }
  if (spec.image.rootfs === undefined) {
    throw new ContainerError({
      code: 'container.not-unpacked',
      what: `The image ${spec.image.reference} is not unpacked on this machine.`,
      fix: 'Report this: an image is unpacked before anything of it runs.',
    });
  }
  const env = { PATH: DEFAULT_PATH, HOME: '/tmp', ...spec.image.config.env, ...spec.env };
  return { argv: [program, ...rest], env, rootfs: spec.image.rootfs };
}

export function workdirOf(spec: RunSpec): string {
  return spec.workdir ?? spec.image.config.workdir;
}

/** Splits off what must not be set while a helper program still runs as root. */
export function withoutLoaderSettings(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !LOADER.test(name)));
}

/** Who the image (or the spec) wants to be; names are looked up in the image's own `/etc/passwd`. Root when it says nothing. */
export async function accountOf(image: ImageOnMachine, user = image.config.user): Promise<Account> {
  const [name = '', group] = user.split(':');
  const rootfs = image.rootfs ?? '/nonexistent';
  if (name === '') return { uid: 0, gid: 0 };
  const entry = (await table(rootfs, '/etc/passwd')).find(([login, , uid]) => (isNumber(name) ? uid : login) === name);
  const uid = isNumber(name) ? Number(name) : Number(entry?.[2] ?? Number.NaN);
  const gid =
    group === undefined
      ? Number(entry?.[3] ?? (isNumber(name) ? name : Number.NaN))
      : isNumber(group)
        ? Number(group)
        : Number((await table(rootfs, '/etc/group')).find(([title]) => title === group)?.[2] ?? Number.NaN);
  if (!isId(uid) || !isId(gid)) {
    throw new ContainerError({
      code: 'container.unknown-user',
      what: `The image ${image.reference} runs as "${user.slice(0, 100)}", whom its /etc/passwd does not know.`,
      fix: 'Give the image a user that exists in it, best as a number.',
    });
  }
  return { uid, gid };
}

async function table(rootfs: string, path: string): Promise<string[][]> {
  const text = await readFile(join(rootfs, await pathInRoot(rootfs, path)), 'utf8').catch(() => '');
  return text.split('\n').map((line) => line.split(':'));
}

function isNumber(text: string): boolean {
  return /^\d{1,10}$/.test(text);
}

function isId(id: number): boolean {
  return Number.isInteger(id) && id >= 0 && id < 2 ** 32 - 1;
}
