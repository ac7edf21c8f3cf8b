import { type ChildProcess, spawn } from 'node:child_process';
import { Writable } from 'node:stream';

import { ContainerError } from '../container-error.ts';
import type { Command } from './launcher.ts';
import type { LimitGroup } from './limits.ts';
import { MARK, markedProcesses } from './marked.ts';

/**
 * Starts a prepared command in a process group of its own. Listen to it at once, then await `settle`: it may end any
 * moment, and what it says before anybody listens is lost.
 * @param output a descriptor to write to, or a pipe to us
 * @param mark by which its processes are found
 */
export function launch(command: Command, output: number | 'pipe', mark: string): ChildProcess {
  return spawn(command.argv[0], command.argv.slice(1), {
    cwd: command.cwd,
    env: { ...command.env, [MARK]: mark },
    detached: true,
    stdio: ['ignore', output, output, ...(command.awaited === undefined ? [] : ['pipe' as const])],
    ...command.account,
  });
}

/**
 * Holds what was launched to the limits of `group`, and lets it begin.
 * @throws ContainerError `container.not-started`
 */
export async function settle(child: ChildProcess, command: Command, mark: string, group: LimitGroup): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error: NodeJS.ErrnoException) => reject(notStarted(error)));
  });
  const pid = child.pid ?? 0;
  try {
    await group.add(pid);
    const awaiting = child.stdio[3];
    if (command.awaited !== undefined && awaiting instanceof Writable) {
      awaiting.on('error', () => undefined); // it ended already; its exit tells
      awaiting.end(command.awaited);
    } else {
      for (const marked of markedProcesses().get(mark) ?? []) await group.add(marked.pid); // forked meanwhile
    }
  } catch (error) {
    signalGroup(pid, 'SIGKILL'); // nothing runs that is not held to its limits
    throw error;
  }
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
