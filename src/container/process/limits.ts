import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Limits } from '../runtime.ts';

/** A control group that holds one run to its limits. */
export interface LimitGroup {
  /** Limits that this machine cannot hold, by name: to be said, never to be passed over. */
  readonly notHeld: readonly (keyof Limits)[];
  add(pid: number): Promise<void>;
  /** Whether something in it was ended because it wanted more memory than there is; ask before it is removed. */
  wentOutOfMemory(): Promise<boolean>;
  remove(): Promise<void>;
}

const ROOT = '/sys/fs/cgroup';
const PERIOD_US = 100_000;
const UNLIMITED: LimitGroup = {
  notHeld: [],
  add: () => Promise.resolve(),
  wentOutOfMemory: () => Promise.resolve(false),
  remove: () => Promise.resolve(),
};

/** Makes a control group (version 1 or 2, whichever the machine has) where this process may; else says what is not held. */
export async function limitGroup(name: string, limits: Limits): Promise<LimitGroup> {
  const wanted = (['memoryMb', 'cpus', 'pids'] as const).filter((limit) => limits[limit] !== undefined);
  if (wanted.length === 0) return UNLIMITED;
  const unified = await exists(join(ROOT, 'cgroup.controllers'));
  const folders: string[] = [];
  const notHeld: (keyof Limits)[] = [];
  for (const limit of wanted) {
    const controller = { memoryMb: 'memory', cpus: 'cpu', pids: 'pids' }[limit];
    const parent = unified ? join(ROOT, 'towpath') : join(ROOT, controller, 'towpath');
    const folder = join(parent, name);
    try {
      if (!unified && !(await exists(join(ROOT, controller, 'tasks')))) throw new Error('no such controller');
      await mkdir(parent, { recursive: true });
      if (unified) await enable(parent, controller);
      await mkdir(folder, { recursive: true });
      for (const [file, value] of settings(limit, limits[limit] ?? 0, unified))
        await writeFile(join(folder, file), value);
      if (!folders.includes(folder)) folders.push(folder);
    } catch {
      notHeld.push(limit);
      await rmdir(folder).catch(() => undefined);
    }
  }
  return {
    notHeld,
    add: async (pid) => {
      for (const folder of folders) await writeFile(join(folder, 'cgroup.procs'), String(pid)).catch(ignoreGone);
    },
    wentOutOfMemory: async () => {
      const tellers = folders.flatMap((folder) => [join(folder, 'memory.events'), join(folder, 'memory.oom_control')]);
      const texts = await Promise.all(tellers.map((file) => readFile(file, 'utf8').catch(() => '')));
      return texts.some((text) => /^oom_kill [1-9]/m.test(text));
    },
    remove: () => removeLimitGroup(name),
  };
}

/** Removes what `limitGroup` made under this name; once its processes are gone, and also after a kill of the server. */
export async function removeLimitGroup(name: string): Promise<void> {
  const folders = ['.', 'memory', 'cpu', 'pids'].map((controller) => join(ROOT, controller, 'towpath', name));
  for (const folder of folders) await rmdir(folder).catch(() => undefined);
}

/** The processes that a group holds now, children that never saw our mark included. */
export async function groupMembers(name: string): Promise<number[]> {
  const lists = await Promise.all(
    ['.', 'memory', 'cpu', 'pids'].map((controller) =>
      readFile(join(ROOT, controller, 'towpath', name, 'cgroup.procs'), 'utf8').catch(() => ''),
    ),
  );
  return [...new Set(lists.flatMap((list) => list.split('\n').filter(Boolean).map(Number)))];
}

async function enable(parent: string, controller: string): Promise<void> {
  await writeFile(join(ROOT, 'cgroup.subtree_control'), `+${controller}`).catch(() => undefined);
  await writeFile(join(parent, 'cgroup.subtree_control'), `+${controller}`);
}

function settings(limit: keyof Limits, value: number, unified: boolean): [string, string][] {
  switch (limit) {
    case 'memoryMb': {
      const bytes = String(Math.round(value * 1024 * 1024));
      return unified ? [['memory.max', bytes]] : [['memory.limit_in_bytes', bytes]];
    }
    case 'cpus': {
      const quota = String(Math.max(1000, Math.round(value * PERIOD_US)));
      return unified
        ? [['cpu.max', `${quota} ${PERIOD_US}`]]
        : [
            ['cpu.cfs_period_us', String(PERIOD_US)],
            ['cpu.cfs_quota_us', quota],
          ];
    }
    case 'pids':
      return [['pids.max', String(Math.round(value))]];
    default:
      return limit satisfies never;
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function ignoreGone(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ESRCH') throw error;
}
