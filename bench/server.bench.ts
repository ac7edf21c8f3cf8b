import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { childrenOf, cpuMs, processesWhere } from './cpu.ts';
import { median } from './figure.ts';
import type { Figure } from './figure.ts';
import { proxyOf, removeTowpath, startTowpath } from './towpath.ts';

const STARTS = 5;
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
    const before = await cpuOf(parts);
    await pause(SETTLE_MS);
    const cpu = ((await cpuOf(parts)) - before) / SETTLE_MS;
    const sizes = await Promise.all(
      Object.entries(parts).map(async ([name, pids]) => ({ name, mb: await residentMb(pids) })),
    );
    const all = sizes.reduce((sum, { mb }) => sum + mb, 0);
    return [
      ...sizes.map(({ name, mb }): Figure => ({ name: `server.idle.${name}`, value: mb, unit: 'MB' })),
      { name: 'server.idle.all', value: all, unit: 'MB', goal: { op: '<=', value: 250 } },
      { name: 'server.idle.cpu', value: cpu * 60, unit: 's/min', goal: { op: '<=', value: 6 } },
    ];
  } finally {
    await server.stop();
  }
}

async function cpuOf(parts: Readonly<Record<string, readonly number[]>>): Promise<number> {
  const times = await Promise.all(Object.values(parts).flat().map(cpuMs));
  return times.reduce((sum, ms) => sum + ms, 0);
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

async function processesWith(argument: string): Promise<number[]> {
  return processesWhere(async (pid) =>
    (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(argument),
  );
}
