import { type ChildProcess, spawn } from 'node:child_process';
import { open } from 'node:fs/promises';

import { ContainerError } from '../container-error.ts';
import type { Command } from './launcher.ts';

/** Starts a prepared command in a process group of its own. `output` is a descriptor to write to, or a pipe to us. */
export async function start(
  command: Command,
  output: number | 'pipe',
  env: Readonly<Record<string, string>>,
): Promise<ChildProcess> {
  const args = command.argumentsFile === undefined ? null : await open(command.argumentsFile, 'r');
  try {
    const child = spawn(command.argv[0], command.argv.slice(1), {
      cwd: command.cwd,
      env: { ...command.env, ...env },
      detached: true,
      stdio: ['ignore', output, output, ...(args === null ? [] : [args.fd])],
      ...(command.account === null ? {} : command.account),
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error: NodeJS.ErrnoException) => reject(notStarted(error)));
    });
    return child;
  } finally {
    await args?.close();
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
