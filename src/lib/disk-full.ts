import type { Problem } from './error.ts';

/** What it means wherever it happens: nothing is wrong with what was asked for, and nothing of it was kept half. */
export const DISK_FULL: Problem = {
  code: 'disk.full',
  what: 'No space is left on a disk of this machine.',
  fix: 'Free or add space where its data lies (`df -h` tells); Towpath goes on by itself.',
};

/** True for what the system says of a full disk or quota, also as the cause of another error; `53100` is Postgres' word for it. */
export function isDiskFull(error: unknown): boolean {
  let cause = error;
  for (let depth = 0; depth < MAX_DEPTH && typeof cause === 'object' && cause !== null; depth++) {
    if (['ENOSPC', 'EDQUOT', '53100', DISK_FULL.code].includes(String(Reflect.get(cause, 'code')))) return true;
    cause = Reflect.get(cause, 'cause');
  }
  return false;
}

/** True where the words of a program end in what the system says of a full disk or quota: what it quotes stands before. */
export function saysDiskFull(words: string): boolean {
  return /(no space left on device|disk quota exceeded)\W*(exit status \d+)?$/i.test(words);
}

/** An error may be its own cause. */
const MAX_DEPTH = 8;
