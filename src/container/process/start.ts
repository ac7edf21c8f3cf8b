import { type ChildProcess, spawn } from 'node:child_process';
import { Writable } from 'node:stream';

import { ContainerError } from '../container-error.ts';
import type { Command } from './launcher.ts';
import type { LimitGroup } from './limits.ts';
import { MARK, markedProcesses } from './marked.ts';

/**
 * Starts a prepared command in a process group of its own, held to the limits of `group`.
 * @param output a descriptor to write to, or a pipe to us
 * @param mark by which its processes are found
 */
export async function start(
  command: Command,
  output: number | 'pipe',
  mark: string,
  group: LimitGroup,
): Promise<ChildProcess> {
  const child = spawn(command.argv[0], command.argv.slice(1), {
    cwd: command.cwd,
    env: { ...command.env, [MARK]: mark },
    detached: true,
    stdio: ['ignore', output, output, ...(command.awaited === undefined ? [] : ['pipe' as const])],
    ...command.account,
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error: NodeJS.ErrnoException) => reject(notStarted(error)));
  });
  await group.add(child.pid ?? 0);
  const awaiting = child.stdio[3];
  if (command.awaited !== undefined && awaiting instanceof Writable) {
    awaiting.on('error', () => undefined); // it ended already; its exit tells
    awaiting.end(command.awaited);
  } else {
    for (const { pid } of (await markedProcesses()).get(mark) ?? []) await group.add(pid); // forked meanwhile
  }
  return child;
}

/** Signals a whole process group. @returns false when nothing of it is left */
export function signalGroup(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-group, signal);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function notStarted(error: NodeJS.ErrnoException): ContainerError {
  return new ContainerError({
    code: 'container.not-started',
    what: `The program did not start (${error.code ?? 'unknown reason'}).`,
    fix: 'Check that the command of the service names a program that its image has, and that this machine can run it.',
  });
}
