import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

import { removeTree } from '../rootfs/folders.ts';
import type { Launcher, LaunchSpec } from './launcher.ts';
import type { Limits } from '../runtime.ts';
import { groupMembers, limitGroup, removeLimitGroup } from './limits.ts';
import { MARK, markedProcesses, mayCarry, type MarkedProcess } from './marked.ts';
import { launch, settle, signalGroup } from './start.ts';

export interface StartedService {
  readonly pid: number;
  readonly notHeld: readonly (keyof Limits)[];
}

/**
 * Starts a program that stays: in a session of its own, its output in a file, so that it outlives this process. It
 * carries a mark (valid as a file name) by which it is found again; call only when nothing that lives carries it.
 * @param folder of this service alone: holds `output.log` and the launcher's scratch folder
 */
export async function startService(
  launcher: Launcher,
  spec: LaunchSpec,
  mark: string,
  folder: string,
): Promise<StartedService> {
  const scratch = join(folder, 'scratch');
  await removeTree(scratch);
  await mkdir(scratch, { recursive: true, mode: 0o755 });
  const marked = { ...spec, env: { ...spec.env, [MARK]: mark } };
  const command = await launcher.prepare(marked, scratch);
  const group = await limitGroup(mark, spec.limits ?? {});
  const output = await open(join(folder, 'output.log'), 'a', 0o600);
  try {
    const child = launch(command, output.fd, mark);
    await settle(child, command, mark, group);
    child.unref();
    return { pid: child.pid ?? 0, notHeld: group.notHeld };
  } catch (error) {
    await group.remove();
    throw error;
  } finally {
    await output.close();
  }
}

/**
 * Ends all that carries the mark: asks, waits, then forces. Resolves when nothing is left.
 * @param recordedPid the leader of its group; null when unknown
 */
export async function stopService(mark: string, recordedPid: number | null, graceMs: number): Promise<void> {
  const deadline = performance.now() + graceMs;
  for (let signal: NodeJS.Signals | 0 = 'SIGTERM'; ;) {
    const left = await living(mark, recordedPid);
    if (left.length === 0) break;
    if (performance.now() >= deadline) signal = 'SIGKILL';
    if (signal !== 0) for (const group of left) signalGroup(group, signal);
    if (signal === 'SIGTERM') signal = 0;
    await wait(20);
  }
  await removeLimitGroup(mark);
}

/** Living process groups of a service: by mark, by control group, and by record where there is no /proc. */
async function living(mark: string, recordedPid: number | null): Promise<number[]> {
  const marked: readonly MarkedProcess[] = markedProcesses().get(mark) ?? [];
  if (process.platform === 'linux') {
    const strays = (await groupMembers(mark)).filter((pid) => !marked.some((process) => process.pid === pid));
    for (const pid of strays) if (marked.length === 0) killOne(pid); // whoever outlived the service that made it
    const groups = new Set([...marked.map(({ group }) => group), ...strays.filter(() => marked.length === 0)]);
    if (recordedPid !== null && mayCarry(mark, recordedPid)) groups.add(recordedPid); // just executing a program
    return [...groups];
  }
  return recordedPid !== null && signalGroup(recordedPid, 0) ? [recordedPid] : [];
}

function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // gone already
  }
}
