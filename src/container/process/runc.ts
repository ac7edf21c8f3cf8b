import { access, mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { type Command, type Launcher, type LaunchSpec, programOf, workdirOf } from './launcher.ts';
import { findProgram, runQuietly } from './programs.ts';
import { planView, type ViewPart } from './view.ts';

/** What runc ends with when the program was ended by SIGKILL. */
const KILLED = 128 + 9;
const NETWORK_FILES = ['/etc/resolv.conf', '/etc/hosts'];

/**
 * runc, for root: a container of its own but for the network, which is the machine's. No capabilities, no way to gain
 * any; limits are held by runc itself.
 */
export function runcLauncher(): Launcher {
  let known: Promise<boolean> | undefined;
  return { name: 'runc', isolates: true, available: () => (known ??= isUsable()), prepare };
}

/** @param mark by which the processes of the run are found */
export function runcId(mark: string): string {
  return `towpath-${mark}`;
}

async function prepare(spec: LaunchSpec, scratch: string): Promise<Command> {
  const { argv, env, rootfs } = programOf(spec);
  const files = (await Promise.all(NETWORK_FILES.map((file) => exists(file)))).flatMap((there, index) => {
    const file = NETWORK_FILES[index] ?? '';
    return there ? [{ from: file, to: file, writable: false }] : [];
  });
  const view = await planView(rootfs, [...files, ...(spec.mounts ?? [])]);
  const { limits = {}, account } = spec;
  const opened = await layOpened(view, scratch);
  const id = runcId(basename(scratch));
  const bundle = {
    ociVersion: '1.0.2',
    process: {
      user: account ?? { uid: 0, gid: 0 },
      args: argv,
      env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      cwd: workdirOf(spec),
      capabilities: { bounding: [], effective: [], permitted: [] },
      noNewPrivileges: true,
    },
    root: { path: opened.get('/') ?? rootfs, readonly: true },
    hostname: 'towpath',
    mounts: view.filter((part) => part.to !== '/').flatMap((part) => mountsOf(part, opened.get(part.to))),
    linux: {
      cgroupsPath: `/towpath/${id}`,
      namespaces: ['pid', 'mount', 'ipc', 'uts'].map((type) => ({ type })),
      resources: {
        devices: [{ allow: false, access: 'rwm' }],
        ...(limits.memoryMb === undefined ? {} : { memory: { limit: Math.round(limits.memoryMb * 1024 * 1024) } }),
        ...(limits.cpus === undefined ? {} : { cpu: { quota: Math.round(limits.cpus * 100_000), period: 100_000 } }),
        ...(limits.pids === undefined ? {} : { pids: { limit: limits.pids } }),
      },
      maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/proc/sched_debug', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
  await writeFile(join(scratch, 'config.json'), JSON.stringify(bundle), { mode: 0o600 });
  const runc = (await findProgram('runc')) ?? 'runc';
  const state = join(scratch, 'state');
  return {
    argv: [runc, '--root', state, 'run', '--bundle', scratch, id],
    env: { PATH: process.env['PATH'] ?? '' },
    cwd: '/',
    account: null,
    // the group of a container is gone when it has ended, and nobody else but the kernel kills it like this
    wentOutOfMemory: (result) => limits.memoryMb !== undefined && result.kind === 'exited' && result.code === KILLED,
    finish: async () => {
      await runQuietly([runc, '--root', state, 'delete', '--force', id]);
    },
  };
}

function mountsOf(part: ViewPart, laid: string | undefined): object[] {
  const destination = part.to;
  switch (part.kind) {
    case 'bind': {
      const options = ['rbind', 'nosuid', 'nodev', part.writable ? 'rw' : 'ro'];
      return [{ destination, type: 'bind', source: part.from, options }];
    }
    case 'tmpfs':
      if (laid !== undefined) return [{ destination, type: 'bind', source: laid, options: ['rbind', 'ro'] }];
      return [{ destination, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', `mode=${part.mode}`] }];
    case 'proc':
      return [{ destination, type: 'proc', source: 'proc', options: [] }];
    case 'dev':
      return [
        { destination, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
      ];
    case 'folder':
    case 'symlink':
      return [];
    default:
      return part satisfies never;
  }
}

/**
 * runc makes no links, and no mount points in what is read-only: the folders that stand in for those of the image are
 * laid out on disk before, with all that later parts need in them. @returns by path inside, where they lie
 */
async function layOpened(view: readonly ViewPart[], scratch: string): Promise<Map<string, string>> {
  const opened = new Map<string, string>();
  for (const part of view) {
    const home = homeOf(part.to, opened);
    if (home !== null && part.to !== '/') await makePlace(part, home);
    if (part.kind === 'tmpfs' && part.sealed) {
      const folder = join(scratch, `opened-${opened.size}`);
      await mkdir(folder, { mode: 0o755 });
      opened.set(part.to, folder);
    }
  }
  return opened;
}

/** Where a path lies in the innermost folder that was laid out around it. */
function homeOf(path: string, opened: ReadonlyMap<string, string>): string | null {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const laid = opened.get(folder);
    if (laid !== undefined) return join(laid, path.slice(folder.length));
    if (folder === '/') return null;
  }
}

async function makePlace(part: ViewPart, place: string): Promise<void> {
  await mkdir(dirname(place), { recursive: true, mode: 0o755 });
  if (part.kind === 'symlink') return symlink(part.target, place);
  const isFile = part.kind === 'bind' && !(await stat(part.from)).isDirectory();
  if (isFile) await writeFile(place, '', { flag: 'a' });
  else await mkdir(place, { recursive: true, mode: 0o755 });
}

async function isUsable(): Promise<boolean> {
  const runc = await findProgram('runc');
  return process.geteuid?.() === 0 && runc !== null && (await runQuietly([runc, '--version'])) === 0;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
