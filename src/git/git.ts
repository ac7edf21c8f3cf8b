import { spawn } from 'node:child_process';

import { gitEnvironment, type GitPlace } from './environment.ts';
import { GitError, gitErrorOf } from './git-error.ts';

export interface GitOptions extends GitPlace {
  /** Always named: git must never look for a repository by itself, since a folder in a repository may pose as one. */
  readonly gitDir?: string | undefined;
  readonly input?: string | Uint8Array | undefined;
  /** Wall clock for the whole process group. Default: two minutes. */
  readonly timeoutMs?: number | undefined;
  /** How much output is read before the process is killed. Default: 256 MiB. */
  readonly maxBytes?: number | undefined;
  /** Exit codes that are answers and not failures. Default: only 0. */
  readonly okCodes?: readonly number[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface GitOutput {
  readonly stdout: Buffer;
  /** The last 16 KB of it, as it came: `cleanMessage` before anybody sees it. */
  readonly stderr: string;
  readonly code: number;
}

/** How long a process that was told to stop may take to clean up after itself. */
const GRACE_MS = 3_000;

/**
 * Runs the git binary: no shell, an environment of our own, its own process group (killed as a whole at the end of its
 * time), bounded output. Callers put `--end-of-options` or `--` before any name that came from outside.
 * @throws GitError
 */
export async function git(args: readonly [string, ...string[]], options: GitOptions): Promise<GitOutput> {
  const { timeoutMs = 120_000, maxBytes = 256 * 1024 * 1024, okCodes = [0], signal } = options;
  if (signal?.aborted === true) throw cancelled(args[0]);
  const argv = options.gitDir === undefined ? [...args] : [`--git-dir=${options.gitDir}`, ...args];
  return new Promise<GitOutput>((resolve, reject) => {
    const child = spawn('git', argv, {
      cwd: '/',
      env: gitEnvironment(options),
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const chunks: Buffer[] = [];
    let size = 0;
    let stderr = '';
    let early: GitError | undefined;
    let last: NodeJS.Timeout | undefined;
    const stop = (error: GitError): void => {
      if (early !== undefined) return;
      early = error;
      killGroup(child.pid, 'SIGTERM'); // git then removes the lock files that it holds
      last = setTimeout(() => killGroup(child.pid), GRACE_MS);
    };
    const onAbort = (): void => stop(cancelled(args[0]));
    const timer = setTimeout(() => stop(timedOut(args[0], timeoutMs)), timeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) stop(tooLarge(args[0], maxBytes));
      else chunks.push(chunk);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-16_384);
    });
    child.stdin.on('error', () => undefined); // the exit code tells the story of a process that read no further
    child.stdin.end(options.input);
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      clearTimeout(last);
      signal?.removeEventListener('abort', onAbort);
      settle();
    };
    child.once('error', (error) => end(() => reject(early ?? missingProgram(error))));
    child.once('close', (code) => {
      end(() => {
        if (early !== undefined) reject(early);
        else if (code !== null && okCodes.includes(code)) resolve({ stdout: Buffer.concat(chunks), stderr, code });
        else reject(gitErrorOf(args[0], stderr));
      });
    });
  });
}

/** @throws GitError `git.too-old`, `git.missing-program` */
export async function requireGit(minimum: readonly [number, number] = [2, 38]): Promise<void> {
  const { stdout } = await git(['version'], { directories: [] });
  const [, major = '0', minor = '0'] = /(\d+)\.(\d+)/.exec(stdout.toString()) ?? [];
  const isOld = Number(major) < minimum[0] || (Number(major) === minimum[0] && Number(minor) < minimum[1]);
  if (!isOld) return;
  throw new GitError({
    code: 'git.too-old',
    what: `This machine has git ${major}.${minor}; Towpath needs ${minimum.join('.')} or newer.`,
    fix: 'Install a newer git.',
  });
}

/** Ends a process and all that it started (git runs helpers of its own). */
export function killGroup(pid: number | undefined, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // it is gone already
  }
}

export function missingProgram(cause: unknown): GitError {
  return new GitError(
    { code: 'git.missing-program', what: 'The program "git" could not be started.', fix: 'Install git 2.38 or newer.' },
    { cause },
  );
}

function cancelled(command: string): GitError {
  return new GitError({
    code: 'git.cancelled',
    what: `git ${command} was cancelled.`,
    fix: 'Nothing is half-done; ask again when wanted.',
  });
}

function timedOut(command: string, timeoutMs: number): GitError {
  return new GitError({
    code: 'git.timeout',
    what: `git ${command} took longer than ${Math.round(timeoutMs / 1000)} s and was ended.`,
    fix: 'Check that the git server answers; Towpath tries again by itself.',
  });
}

function tooLarge(command: string, maxBytes: number): GitError {
  return new GitError({
    code: 'git.too-large',
    what: `git ${command} answered more than ${Math.round(maxBytes / 1024 / 1024)} MiB.`,
    fix: 'The repository is larger than Towpath reads; split it, or raise the limit.',
  });
}
