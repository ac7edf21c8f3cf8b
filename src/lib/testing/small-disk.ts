import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A disk of a few megabytes, in memory, to be filled. */
export interface SmallDisk {
  readonly directory: string;
  /** Takes all space but so much. */
  fill(leaveBytes?: number): void;
  /** Gives it back. */
  free(): void;
  remove(): void;
}

/** Why there is none here; null where there is. */
export const noSmallDisk =
  process.platform !== 'linux' || process.geteuid?.() !== 0
    ? 'only root of a Linux machine may mount a small disk'
    : null;

if (noSmallDisk !== null) process.stderr.write(`Tests on a full disk are skipped: ${noSmallDisk}.\n`);

/** @param at an empty folder to mount it on; one of its own when it is not given */
export function smallDisk(megabytes: number, at?: string): SmallDisk {
  const directory = at ?? mkdtempSync(join(tmpdir(), 'towpath-small-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=755`, 'tmpfs', directory]);
  const ballast = join(directory, '.ballast');
  const free = (): void => rmSync(ballast, { force: true });
  return {
    directory,
    fill: (leaveBytes = 0) => {
      free();
      const { bavail, bsize } = statfsSync(directory);
      writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes)));
    },
    free,
    remove: () => {
      execFileSync('umount', ['--lazy', directory]);
      if (at === undefined) rmSync(directory, { recursive: true, force: true });
    },
  };
}
