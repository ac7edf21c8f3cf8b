import { readFileSync } from 'node:fs';

/** A process that is told apart from a later one with the same number by when it started, where the system tells that. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, from `/proc`; empty where there is none. */
  readonly started: string;
}

export function identityOf(pid: number): ProcessIdentity | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return undefined;
  }
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return undefined;
    return { pid, started: fields[19] ?? '' };
  } catch {
    return { pid, started: '' };
  }
}

export function isAlive({ pid, started }: ProcessIdentity): boolean {
  const now = identityOf(pid);
  return now !== undefined && now.started === started;
}
