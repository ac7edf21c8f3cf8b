import { mkdtemp, readFile, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { median } from './figure.ts';
import type { Figure } from './figure.ts';
import { proxyOf, removeTowpath, startTowpath } from './towpath.ts';

const STARTS = 5;
const TICK_MS = 10;
/** Long enough for what a start leaves behind to be collected, and for the first round of care. */
const SETTLE_MS = 20_000;

/** How soon `towpath up` answers on data that is there, and what it takes of the machine while nothing happens. */
export async function run(): Promise<Figure[]> {
  const data = await mkdtemp(join(tmpdir(), 'towpath-bench-server-'));
  try {
    await (await startTowpath(data)).stop();
    const ready: number[] = [];
    const cpu: number[] = [];
    for (let i = 0; i < STARTS; i++) {
      const server = await startTowpath(data);
      ready.push(server.readyMs);
      cpu.push(await cpuMs(server.process.pid ?? 0));
      await server.stop();
    }
    return [
      { name: 'server.ready.warm', value: median(ready), unit: 'ms', goal: { op: '<=', value: 5000 } },
      { name: 'server.ready.warm.cpu', value: median(cpu), unit: 'ms' },
      ...(await idle(data)),
    ];
  } finally {
    await removeTowpath(data);
  }
}

/** With the proxy, as if something were deployed. Memory that processes share counts once (PSS). */
async function idle(data: string): Promise<Figure[]> {
  const server = await startTowpath(data);
  try {
    await proxyOf(data).ensureRunning();
    await pause(SETTLE_MS);
    const postmaster = Number((await readFile(join(data, 'pg/data/postmaster.pid'), 'utf8')).split('\n')[0]);
    const parts = {
      server: [server.process.pid ?? 0],
      store: [postmaster, ...(await childrenOf(postmaster))],
      proxy: await processesWith(join(data, 'proxy')),
    };
    const sizes = await Promise.all(
      Object.entries(parts).map(async ([name, pids]) => ({ name, mb: await residentMb(pids) })),
    );
    const all = sizes.reduce((sum, { mb }) => sum + mb, 0);
    return [
      ...sizes.map(({ name, mb }): Figure => ({ name: `server.idle.${name}`, value: mb, unit: 'MB' })),
      { name: 'server.idle.all', value: all, unit: 'MB', goal: { op: '<=', value: 250 } },
    ];
  } finally {
    await server.stop();
  }
}

/** What a process has used of processors so far; unlike its time on the wall, it says the same on a busy machine. */
async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return (user + system) * TICK_MS;
}

async function residentMb(pids: readonly number[]): Promise<number> {
  const sizes = await Promise.all(
    pids.map(async (pid) => {
      const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
      return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0) * 1024;
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0) / 1e6;
}

async function childrenOf(parent: number): Promise<number[]> {
  return where(async (pid) => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    return Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]) === parent;
  });
}

async function processesWith(argument: string): Promise<number[]> {
  return where(async (pid) => (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(argument));
}

async function where(holds: (pid: number) => Promise<boolean>): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => Number.isInteger(pid));
  const held = await Promise.all(pids.map(holds));
  return pids.filter((_, i) => held[i]);
}
