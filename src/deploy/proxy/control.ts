import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';

import { z } from 'zod';

import { sha256Hex } from '../../lib/digest.ts';
import type { Cutover } from '../local-observer.ts';
import { DeployError } from '../deploy-error.ts';
import { Drained, ProxyStatus } from './control-server.ts';
import type { RouteChange, Upstream } from './routes.ts';

export interface ProxyControlOptions {
  /** Holds the routes, the socket and the log of the proxy. */
  readonly directory: string;
  /** How to start the proxy; `--state FILE --socket PATH` is appended. */
  readonly command: readonly [string, ...string[]];
  readonly startTimeoutMs?: number;
  /** How long it may take to answer. */
  readonly answerMs?: number;
}

/** Orders to the proxy process, which is started where it does not run. */
export interface ProxyControl extends Cutover {
  /** Starts the proxy unless it answers. It outlives this process, and finds its routes again. */
  ensureRunning(): Promise<void>;
  /** As `ensureRunning`, where there ever was a route: a machine that serves nothing needs no proxy. */
  ensureServing(): Promise<void>;
  status(): Promise<ProxyStatus>;
  /** Ends the proxy; routes stay on disk for the next one. */
  shutdown(): Promise<void>;
}

const Problem = z.object({ code: z.string(), what: z.string(), fix: z.string() });

const ANSWER_MS = 30_000;

/** A path of a Unix socket has room for about 100 characters. */
const MAX_SOCKET_PATH = 100;

export function createProxyControl(options: ProxyControlOptions): ProxyControl {
  const stateFile = join(options.directory, 'routes.json');
  const { answerMs = ANSWER_MS } = options;
  let starting: Promise<void> | undefined;
  const order = async <T>(
    schema: z.ZodType<T>,
    method: string,
    path: string,
    body: unknown,
    { signal, takesMs = 0 }: { readonly signal?: AbortSignal; readonly takesMs?: number } = {},
  ): Promise<T> => {
    const ask = async (): Promise<T> =>
      schema.parse(
        await send({ directory: options.directory, withinMs: takesMs + answerMs, signal }, method, path, body),
      );
    try {
      return await ask();
    } catch (error) {
      if (!isAbsent(error)) throw error;
      await ensure();
      return ask();
    }
  };
  const ensure = (): Promise<void> =>
    (starting ??= startUnlessRunning(options, stateFile).finally(() => {
      starting = undefined;
    }));
  const change = (wish: RouteChange): Promise<unknown> => order(z.object({}), 'POST', '/change', wish);
  const status = (): Promise<ProxyStatus> => order(ProxyStatus, 'GET', '/status', null);
  return {
    ensureRunning: ensure,
    ensureServing: async () => {
      if (existsSync(stateFile)) await ensure();
    },
    status,
    route: async ({ port, owner, service, upstreams, token }) => {
      await change({ kind: 'route', port, owner, service, upstreams: [...upstreams], token: String(token) });
    },
    unroute: async ({ owner, port, token }) => {
      await change({ kind: 'unroute', owner, port, token: String(token) });
    },
    forget: async ({ owner, token }) => {
      await change({ kind: 'forget', owner, token: String(token) });
    },
    routes: async (owner) => (await status()).routes.filter((route) => route.owner === owner),
    drained: async (upstream: Upstream, timeoutMs, signal) =>
      (await order(Drained, 'POST', '/drained', { upstream, timeoutMs }, { signal, takesMs: timeoutMs })).busy,
    shutdown: async () => {
      const way = { directory: options.directory, withinMs: answerMs };
      await send(way, 'POST', '/stop', null).catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
      });
    },
  };
}

async function startUnlessRunning(options: ProxyControlOptions, stateFile: string): Promise<void> {
  const socket = await socketPath(options.directory);
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  const deadline = performance.now() + (options.startTimeoutMs ?? 15_000);
  let child: { exited: boolean } | undefined;
  for (;;) {
    try {
      await send({ directory: options.directory, withinMs: options.answerMs ?? ANSWER_MS }, 'GET', '/status', null);
      return;
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
    if (performance.now() > deadline) throw notStarted(options.directory);
    // One that ended again found another proxy at work, or a broken machine: the next one tells.
    if (child === undefined || child.exited) child = await launch(options, stateFile, socket);
    await wait(25);
  }
}

async function launch(options: ProxyControlOptions, stateFile: string, socket: string): Promise<{ exited: boolean }> {
  const log = await open(join(options.directory, 'proxy.log'), 'a', 0o600);
  try {
    const [program, ...args] = options.command;
    const child = spawn(program, [...args, '--state', stateFile, '--socket', socket], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      cwd: '/',
      env: harmlessEnvironment(),
    });
    const seen = { exited: false };
    child.once('error', () => (seen.exited = true));
    child.once('exit', () => (seen.exited = true));
    child.unref();
    return seen;
  } finally {
    await log.close();
  }
}

/** The proxy lives long and needs no secret of ours. */
function harmlessEnvironment(): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

async function socketPath(directory: string): Promise<string> {
  const beside = join(directory, 'proxy.sock');
  if (Buffer.byteLength(beside) <= MAX_SOCKET_PATH) return beside;
  const folder = join(tmpdir(), `towpath-${process.geteuid?.() ?? 0}-${sha256Hex(directory).slice(0, 12)}`);
  await mkdir(folder, { mode: 0o700 }).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST' || !(await isOurs(folder))) throw error;
  });
  return join(folder, 'proxy.sock');
}

/** In a folder that everybody may write to, a name may be taken by somebody else. */
async function isOurs(folder: string): Promise<boolean> {
  const handle = await open(folder, 'r');
  try {
    const stat = await handle.stat();
    return stat.isDirectory() && stat.uid === (process.geteuid?.() ?? 0) && (stat.mode & 0o077) === 0;
  } finally {
    await handle.close();
  }
}

interface Way {
  readonly directory: string;
  readonly withinMs: number;
  readonly signal?: AbortSignal | undefined;
}

async function send(
  { directory, withinMs, signal }: Way,
  method: string,
  path: string,
  body: unknown,
): Promise<unknown> {
  const late = AbortSignal.timeout(withinMs);
  const both = signal === undefined ? late : AbortSignal.any([signal, late]);
  const out = request({ socketPath: await socketPath(directory), method, path, agent: false, signal: both });
  out.on('error', () => undefined); // it may come when the answer has begun, which tells it too
  try {
    out.end(body === null ? undefined : JSON.stringify(body));
    const [answer] = (await once(out, 'response')) as [IncomingMessage];
    const told = await json(answer);
    if (answer.statusCode === 200) return told;
    throw new DeployError(Problem.parse(told));
  } catch (error) {
    throw late.aborted && signal?.aborted !== true ? noAnswer(directory, withinMs) : error;
  }
}

function isAbsent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === 'EPIPE';
}

function noAnswer(directory: string, ms: number): DeployError {
  return new DeployError({
    code: 'proxy.no-answer',
    what: `The local reverse proxy did not answer within ${ms / 1000} s.`,
    fix: `It is asked again by itself. If it stays so, read ${join(directory, 'proxy.log')} and end the proxy: it is started anew, with all its routes.`,
  });
}

function notStarted(directory: string): DeployError {
  return new DeployError({
    code: 'proxy.not-started',
    what: 'The local reverse proxy did not start.',
    fix: `Read ${join(directory, 'proxy.log')}; it says why.`,
  });
}
