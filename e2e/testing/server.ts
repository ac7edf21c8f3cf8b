import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { type Client, createClient } from '../../src/cli/client.ts';
import { createProxyControl } from '../../src/deploy/proxy/control.ts';
import { stopEmbeddedPostgres } from '../../src/store/embedded/postgres.ts';
import { killPrograms } from './programs.ts';

export const program = fileURLToPath(new URL('../../bin/towpath.js', import.meta.url));

/** Bases and packages are fetched once for all tests of a machine. */
export const cache = join(tmpdir(), `towpath-test-cache-${userInfo().uid}`);

/**
 * Test files run at the same time: each worker of a run has ports of its own, mostly also beside other runs on the machine, below
 * those that the system gives away.
 */
const firstPort = String(10_000 + ((process.ppid % 4) * 4 + (Number(process.env['VITEST_POOL_ID'] ?? 0) % 4)) * 250);

/** The real program on data of its own, as a user starts it. It may be killed and started again. */
export interface TestServer {
  readonly data: string;
  readonly client: Client;
  /** Of the administrator that every installation begins with. */
  readonly token: string;
  readonly process: ChildProcess;
  /** What it has said so far. */
  output(): string;
  /** SIGKILL, and the server is gone; Postgres, the proxy and what users run stay. */
  kill(): Promise<void>;
  /** Starts it again on the same data, with more in its environment. */
  restart(env?: Readonly<Record<string, string>>): Promise<void>;
  /** Runs one command line against it. @returns its exit code and outputs */
  cli(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  /** SIGKILL to all that it runs in environments, and the proxy before it ends. @returns how many instances were killed */
  killPrograms(): Promise<number>;
  /** Ends everything and removes the data. */
  dispose(): Promise<void>;
}

export interface TestServerOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Of another server: two workers may share a machine's data. */
  readonly data?: string;
  /** Serves on an external Postgres in place of the embedded one. */
  readonly databaseUrl?: string;
  readonly port?: number;
  /** With `databaseUrl`. Default: both. */
  readonly roles?: readonly ('api' | 'worker')[];
}

export async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  const data = options.data ?? (await mkdtemp(join(tmpdir(), 'towpath-e2e-')));
  await mkdir(cache, { recursive: true });
  let output = '';
  let child: ChildProcess;
  let client: Client;
  let token = '';
  const port = String(options.port ?? 0);
  const start = async (env: Readonly<Record<string, string>>): Promise<void> => {
    const command = options.databaseUrl === undefined ? 'up' : 'serve';
    const roles = (options.roles ?? []).flatMap((role) => ['--role', role]);
    child = spawn(process.execPath, [program, command, '--data', data, '--port', port, ...roles], {
      env: {
        ...process.env,
        TOWPATH_CACHE: cache,
        NODE_COMPILE_CACHE: join(cache, 'compiled'), // of Node 22: what one start has compiled serves the next
        TOWPATH_GIT_ALLOW: 'file,http',
        TOWPATH_POLL_MS: '500',
        TOWPATH_FIRST_PORT: firstPort,
        ...(options.databaseUrl === undefined ? {} : { TOWPATH_DATABASE_URL: options.databaseUrl }),
        ...options.env,
        ...env,
      },
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    const began = output.length;
    child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const url = await until(
      () =>
        /ready: (\S+)/.exec(output.slice(began))?.[1] ??
        (child.exitCode === null ? null : fail(`The server ended: ${output.slice(began)}`)),
      110_000,
    );
    token = (await readFile(join(data, 'token'), 'utf8')).trim();
    client = createClient({ server: url, token }, new AbortController().signal);
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  };
  try {
    await start({});
  } catch (error) {
    await removePreviewsAndStop(data, () => end('SIGKILL'));
    throw error;
  }
  return {
    data,
    get client() {
      return client;
    },
    get token() {
      return token;
    },
    get process() {
      return child;
    },
    output: () => output,
    kill: () => end('SIGKILL'),
    restart: async (env = {}) => {
      await end('SIGKILL');
      await start(env);
    },
    cli: (...args) => runCli(data, client.server, args),
    async killPrograms() {
      const killed = await killPrograms(data);
      await proxyOf(data).shutdown();
      return killed;
    },
    async dispose() {
      await removePreviewsAndStop(data, () => end('SIGTERM'));
      if (options.data === undefined) await rm(data, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function removePreviewsAndStop(data: string, stop: () => Promise<void>): Promise<void> {
  await stop();
  await killPrograms(data);
  await proxyOf(data).shutdown();
  await stopEmbeddedPostgres(join(data, 'pg'));
}

function proxyOf(data: string) {
  return createProxyControl({ directory: join(data, 'proxy'), command: [process.execPath, program, 'proxy'] });
}

async function runCli(
  data: string,
  server: string,
  args: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [program, ...args, '--data', data, '--server', server], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code: code ?? -1, stdout, stderr };
}

/** The wait grows with what it took so far: each question costs a server a dozen queries, and whoever waits for seconds is late by tenths. */
const FIRST_MS = 50;
const LONGEST_MS = 400;
const GROWS = 1.2;

/** Asks until there is an answer that is not null. */
export async function until<T>(
  ask: () => T | null | Promise<T | null>,
  timeoutMs = 110_000,
  story: () => Promise<string> | string = () => ask.toString(),
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (let waitMs = FIRST_MS; ; waitMs = Math.min(waitMs * GROWS, LONGEST_MS)) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain: ${await story()}`);
    await sleep(waitMs);
  }
}

function fail(what: string): never {
  throw new Error(what);
}
