import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

import { GitError } from './git-error.ts';

const BEAT_MS = 5_000;
/** A holder that did not touch its lock for so long is dead, or so slow that others must go on. */
const STALE_MS = 60_000;

export interface FileLockOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for another holder. Default: ten minutes. */
  readonly waitMs?: number | undefined;
}

/**
 * Lets one process at a time work on a shared folder. A lock whose process died (also by `kill -9`, also before a
 * reboot) is taken over. It only saves work and avoids quarrels: git itself keeps its files whole under any number
 * of writers, so the rare case of two holders (a holder that was suspended for a minute) harms nothing.
 * @throws GitError `git.locked`, `git.cancelled`
 */
export async function withFileLock<T>(file: string, work: () => Promise<T>, options: FileLockOptions = {}): Promise<T> {
  const release = await holdFileLock(file, options);
  try {
    return await work();
  } finally {
    await release();
  }
}

/**
 * As `withFileLock`, until it is given back or the process ends.
 * @returns gives it back
 */
export async function holdFileLock(file: string, options: FileLockOptions = {}): Promise<() => Promise<void>> {
  const mine = JSON.stringify({ host: hostname(), pid: process.pid, born: await bornOf(process.pid), nonce: nonce() });
  await acquire(file, mine, options);
  const beat = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => undefined); // a lost lock shows at the release
  }, BEAT_MS);
  beat.unref();
  return async () => {
    clearInterval(beat);
    if ((await readFile(file, 'utf8').catch(() => '')) === mine) await rm(file, { force: true });
  };
}

async function acquire(file: string, mine: string, { signal, waitMs = 600_000 }: FileLockOptions): Promise<void> {
  for (let waitedMs = 0, pauseMs = 5; !(await create(file, mine)); waitedMs += pauseMs) {
    if (waitedMs > waitMs) throw locked(file);
    if (!(await removeIfStale(file))) {
      await pause(pauseMs, undefined, signal === undefined ? {} : { signal }).catch(() => {
        throw cancelled();
      });
      pauseMs = Math.min(pauseMs * 1.5, 200);
    }
  }
}

/** The lock appears with its content in one step (`link`): nobody ever reads a half-written one. */
async function create(file: string, mine: string): Promise<boolean> {
  const draft = `${file}.${nonce()}`;
  const handle = await open(draft, 'wx');
  try {
    await handle.writeFile(mine);
  } finally {
    await handle.close();
  }
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function removeIfStale(file: string): Promise<boolean> {
  const seen = await readFile(file, 'utf8').catch(() => undefined);
  if (seen === undefined) return true; // just released
  if (!(await isStale(file, seen))) return false;
  const aside = `${file}.${nonce()}`;
  try {
    await rename(file, aside);
  } catch {
    return true; // another one was faster
  }
  // Between reading and renaming, another process may have put a fresh lock there: then it goes back.
  if ((await readFile(aside, 'utf8').catch(() => seen)) !== seen) await link(aside, file).catch(() => undefined);
  await rm(aside, { force: true });
  return true;
}

async function isStale(file: string, content: string): Promise<boolean> {
  const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: Date.now() }));
  if (Date.now() - mtimeMs > STALE_MS) return true;
  const holder = holderOf(content);
  if (holder === undefined || holder.host !== hostname()) return false;
  return !isAlive(holder.pid) || (holder.born !== '' && holder.born !== (await bornOf(holder.pid)));
}

function holderOf(content: string): { host: string; pid: number; born: string } | undefined {
  try {
    const holder: unknown = JSON.parse(content);
    if (typeof holder !== 'object' || holder === null || !('host' in holder) || !('pid' in holder)) return undefined;
    if (typeof holder.host !== 'string' || typeof holder.pid !== 'number') return undefined;
    return { host: holder.host, pid: holder.pid, born: 'born' in holder ? String(holder.born) : '' };
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isErrno(error, 'EPERM');
  }
}

/**
 * Boot and start time of a process: a pid alone is used again. Empty where the system does not say, and of one that has
 * ended and that nobody has asked after yet (a zombie).
 */
async function bornOf(pid: number): Promise<string> {
  try {
    const [boot, status] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ]);
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' '); // the name before may hold anything
    if (fields[0] === 'Z' || fields[0] === 'X') return '';
    return `${boot.trim()}/${fields[19] ?? ''}`;
  } catch {
    return '';
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function nonce(): string {
  return randomBytes(8).toString('hex');
}

function locked(file: string): GitError {
  return new GitError({
    code: 'git.locked',
    what: 'Another process works on this mirror and does not come to an end.',
    fix: `See which Towpath process hangs; if none runs, remove ${file}.`,
  });
}

function cancelled(): GitError {
  return new GitError({
    code: 'git.cancelled',
    what: 'Waiting for the mirror was cancelled.',
    fix: 'Nothing is half-done; ask again when wanted.',
  });
}
