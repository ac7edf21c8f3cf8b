import { readdir, readFile } from 'node:fs/promises';

const TICK_MS = 10;

/** What a process has used of processors so far; unlike its time on the wall, it says the same on a busy machine. */
export async function cpuMs(pid: number): Promise<number> {
  const { user, system } = await timesOf(pid);
  return user + system;
}

/** The same with all its children, those that ended and those that live. */
export async function familyCpuMs(pid: number): Promise<number> {
  const { user, system, ended } = await timesOf(pid);
  const living = await Promise.all((await childrenOf(pid)).map(familyCpuMs));
  return user + system + ended + living.reduce((sum, one) => sum + one, 0);
}

export async function childrenOf(parent: number): Promise<number[]> {
  return processesWhere(async (pid) => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    return Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]) === parent;
  });
}

export async function processesWhere(holds: (pid: number) => Promise<boolean>): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => Number.isInteger(pid));
  const held = await Promise.all(pids.map(holds));
  return pids.filter((_, i) => held[i]);
}

async function timesOf(pid: number): Promise<{ user: number; system: number; ended: number }> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map((ticks) => Number(ticks) * TICK_MS);
  return { user, system, ended: childrenUser + childrenSystem };
}
