import { spawn } from 'node:child_process';
import { access, constants, mkdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

import type { LogLine } from '../../lib/log.ts';
import { failed, noProgram, tooOld } from './compose-error.ts';

export interface ComposeProgramParts {
  /** Where the program is; looked for where it is not given. */
  readonly path?: string | undefined;
  /** Of the server: PATH, and how the engine is reached. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** An empty folder, its home: so no settings or credentials of anybody are read. */
  readonly home: string;
}

export interface ComposeRun {
  /** As the end of "Docker Compose could not ...". */
  readonly doing: string;
  readonly input?: string;
  /** Where it runs, and what its paths are relative to; an empty folder where it is not given. */
  readonly directory?: string;
  /** What `${NAME}` in a compose file means. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Told of what it warned of, when it did what was wanted. */
  readonly log?: LogLine;
  readonly signal: AbortSignal;
}

/** Docker Compose, as a program. @returns what it printed */
export type ComposeProgram = (argv: readonly string[], run: ComposeRun) => Promise<string>;

/** How the engine is reached, as Docker's own programs are told. */
const ENGINE = ['DOCKER_HOST', 'DOCKER_TLS_VERIFY', 'DOCKER_CERT_PATH', 'DOCKER_API_VERSION'];
/** Names that mean something to the program itself, or to what it is made with. */
const RESERVED =
  /^(?:PATH|HOME|TMPDIR|PWD|TERM|(?:DOCKER|COMPOSE|BUILDKIT|BUILDX|OTEL|GO|LD|XDG|SSL|SSH)[A-Z_]*|(?:HTTPS?|NO|ALL)_PROXY)$/i;

/** Where Docker looks for its plugins besides the home of a user. */
const PLUGINS = ['/usr/local/lib', '/usr/local/libexec', '/usr/lib', '/usr/libexec'].map(
  (folder) => `${folder}/docker/cli-plugins`,
);

const TIME_MS = 120_000;
const MOST_OUTPUT = 8 * 1024 * 1024;

/** Finds the program at its first use. No shell, an environment of its own, an end in time. */
export function composeProgram(parts: ComposeProgramParts): ComposeProgram {
  let found: Promise<string> | undefined;
  return async (argv, run) => {
    found ??= findProgram(parts);
    found.catch(() => (found = undefined));
    return runProgram(await found, argv, {
      directory: parts.home,
      ...run,
      environment: environmentOf(parts, run.variables ?? {}),
    });
  };
}

async function findProgram(parts: ComposeProgramParts): Promise<string> {
  await mkdir(parts.home, { recursive: true, mode: 0o700 });
  const { HOME, DOCKER_CONFIG, PATH = '' } = parts.environment;
  const users = DOCKER_CONFIG ?? (HOME === undefined ? null : join(HOME, '.docker'));
  const folders = [...(users === null ? [] : [join(users, 'cli-plugins')]), ...PLUGINS, ...PATH.split(delimiter)];
  const paths =
    parts.path === undefined ? folders.filter(Boolean).map((at) => join(at, 'docker-compose')) : [parts.path];
  let old: string | null = null;
  for (const path of paths) {
    if (
      !(await access(path, constants.X_OK).then(
        () => true,
        () => false,
      ))
    )
      continue;
    const version = await versionOf(path, parts);
    if (isEnough(version)) return path;
    old = version;
  }
  throw old === null ? noProgram() : tooOld(old);
}

async function versionOf(path: string, parts: ComposeProgramParts): Promise<string> {
  const run = { doing: 'say its version', directory: parts.home, signal: AbortSignal.timeout(10_000) };
  const said = await runProgram(path, ['version', '--short'], { ...run, environment: environmentOf(parts, {}) });
  return said.trim().replace(/^v/, '').slice(0, 40);
}

function isEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 2 || (major === 2 && minor >= 20);
}

function environmentOf(
  { environment, home }: ComposeProgramParts,
  variables: Readonly<Record<string, string>>,
): Record<string, string> {
  const engine = ENGINE.flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(Object.entries(variables).filter(([name]) => !RESERVED.test(name))),
    PATH: environment['PATH'] ?? '/usr/bin:/bin',
    HOME: home,
    DOCKER_CONFIG: home,
    COMPOSE_DISABLE_ENV_FILE: '1',
    COMPOSE_IGNORE_ORPHANS: '1',
    COMPOSE_PROGRESS: 'quiet',
    ...Object.fromEntries(engine),
  };
}

function runProgram(
  path: string,
  argv: readonly string[],
  run: ComposeRun & { readonly directory: string; readonly environment: Readonly<Record<string, string>> },
): Promise<string> {
  run.signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child = spawn(path, argv, {
      cwd: run.directory,
      env: run.environment,
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const chunks: Buffer[] = [];
    let size = 0;
    let said = '';
    let early: unknown;
    const stop = (why: unknown): void => {
      early ??= why;
      if (child.pid !== undefined) killGroup(child.pid);
    };
    const onAbort = (): void => stop(run.signal.reason);
    const timer = setTimeout(() => stop(failed(run.doing, 'it took too long')), run.timeoutMs ?? TIME_MS);
    run.signal.addEventListener('abort', onAbort, { once: true });
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MOST_OUTPUT) stop(failed(run.doing, 'it printed too much'));
      else chunks.push(chunk);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-8192)));
    child.stdin.on('error', () => undefined); // its exit code tells the story
    child.stdin.end(run.input ?? '');
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      run.signal.removeEventListener('abort', onAbort);
      settle();
    };
    child.once('error', (error) => end(() => reject(early ?? failed(run.doing, error.message))));
    child.once('close', (code) => {
      end(() => {
        if (early !== undefined) reject(early);
        else if (code === 0) {
          for (const [, warning] of said.matchAll(/level=warning msg="(.*)"$/gm)) run.log?.(unquoted(warning ?? ''));
          resolve(Buffer.concat(chunks).toString('utf8'));
        } else reject(failed(run.doing, wordsOf(said)));
      });
    });
  });
}

/** The last of what it said, without colours and its own marks. */
function wordsOf(said: string): string {
  const lines = said
    // oxlint-disable-next-line no-control-regex
    .replace(/\u001b\[[0-9;]*[A-Za-z]/g, '')
    .split('\n')
    .map((line) => unquoted(/level=\w+ msg="(.*)"$/.exec(line)?.[1] ?? line.trim()))
    .filter((line) => line !== '');
  return (lines.at(-1) ?? 'it gave no reason').replace(/\.$/, '').slice(0, 500);
}

function unquoted(text: string): string {
  return text.replace(/\\(["\\])/g, '$1').slice(0, 500);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // it is gone already
  }
}
