import { randomBytes } from 'node:crypto';

/**
 * Names whatever this process leaves on the machine while it works, so that another can tell whether its maker still
 * lives: the process id, and a word of this start, for in a container each start may have the same id.
 */
export const MAKER = `${process.pid}-${randomBytes(3).toString('hex')}`;

/** A maker as it stands in names. */
export const MAKER_PATTERN = '\\d+-[0-9a-f]{6}';

/** Whether nobody works any more with what this maker made. A process id that was given again makes it wait for that one's end. */
export function isGone(maker: string): boolean {
  if (maker === MAKER) return false;
  const pid = Number(maker.split('-')[0]);
  return pid === process.pid || !isAlive(pid);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
