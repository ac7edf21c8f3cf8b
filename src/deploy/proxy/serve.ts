import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createLock, type Server as Lock } from 'node:net';
import { dirname } from 'node:path';

import { sha256Hex } from '../../lib/digest.ts';
import { writeDurably } from '../../lib/durable-file.ts';
import type { LogLine } from '../../lib/log.ts';
import { DeployError } from '../deploy-error.ts';
import { answerControl } from './control-server.ts';
import { forward, forwardUpgrade } from './forward.ts';
import { changeRoutes, noRoutes, type RouteChange, Routes, type Upstream } from './routes.ts';
import { Upstreams } from './upstreams.ts';

export interface ProxyOptions {
  /** Routes are kept here, so that they outlive this process too. */
  readonly stateFile: string;
  /** Unix socket for orders; its folder must be ours alone. */
  readonly socket: string;
  /** Address that public ports listen on. */
  readonly host?: string;
  readonly log: LogLine;
}

export interface RunningProxy {
  /** Resolves when the proxy ended, by an order or by `stop`. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/**
 * The reverse proxy of the local drivers: a process of its own, so that users are served while the server restarts or
 * is dead. One listener per public port; a switch changes where new requests go between two of them.
 * @throws DeployError `proxy.running` when another one serves this state already
 */
export async function serveProxy(options: ProxyOptions): Promise<RunningProxy> {
  const lock = await takeLock(options.stateFile);
  const proxy = new Proxy(options);
  await proxy.load();
  let stop = (): Promise<void> => Promise.resolve();
  const control = createServer((request, response) => {
    void answerControl(request, response, proxy, () => void stop());
  });
  await rm(options.socket, { force: true });
  await listen(control, options.socket);
  await chmod(options.socket, 0o600);
  const ended = new Promise<void>((resolve) => {
    stop = async () => {
      await Promise.all([close(control), proxy.close()]);
      lock?.close();
      resolve();
    };
  });
  const watch = setInterval(() => {
    // whoever removed the data directory wants nothing of it to live on
    if (!existsSync(options.socket) || !existsSync(dirname(options.stateFile))) void stop();
  }, ORPHAN_CHECK_MS);
  void ended.then(() => clearInterval(watch));
  options.log(`proxy ready, ${proxy.current.routes.length} routes`);
  return { ended, stop: () => stop().then(() => ended) };
}

const ORPHAN_CHECK_MS = 2000;

/** The working state: routes on disk, their listeners, and what upstreams are busy with. */
export class Proxy {
  readonly upstreams = new Upstreams();
  current: Routes = noRoutes;
  private readonly options: ProxyOptions;
  private readonly listeners = new Map<number, Server>();
  private queue: Promise<unknown> = Promise.resolve();

  constructor(options: ProxyOptions) {
    this.options = options;
  }

  async load(): Promise<void> {
    const text = await readFile(this.options.stateFile, 'utf8').catch(() => null);
    if (text !== null) this.current = Routes.parse(JSON.parse(text) as unknown);
    for (const { port } of this.current.routes) {
      await this.open(port).catch(() =>
        this.options.log(`port ${port} is taken by another program; its route waits for an order`),
      );
    }
  }

  /** One change after the other; acknowledged when it is on disk and in force. */
  change(change: RouteChange): Promise<void> {
    const done = this.queue.then(() => this.apply(change));
    this.queue = done.catch(() => undefined);
    return done;
  }

  async close(): Promise<void> {
    await Promise.all([...this.listeners.values()].map((listener) => close(listener)));
    this.upstreams.close();
  }

  private async apply(change: RouteChange): Promise<void> {
    const next = changeRoutes(this.current, change);
    if (change.kind === 'route') await this.open(change.port);
    try {
      await writeState(this.options.stateFile, next);
    } catch (error) {
      this.shutUnrouted();
      throw error;
    }
    this.current = next;
    this.upstreams.retain(next.routes.flatMap((route) => route.upstreams));
    this.shutUnrouted();
  }

  private shutUnrouted(): void {
    const kept = new Set(this.current.routes.map(({ port }) => port));
    for (const port of this.listeners.keys()) if (!kept.has(port)) this.shut(port);
  }

  private async open(port: number): Promise<void> {
    if (this.listeners.has(port)) return;
    const via = { upstreams: this.upstreams, port, route: () => this.upstreamsOf(port) };
    // how long a body may take is the service's to say
    const timeouts = { keepAliveTimeout: 75_000, requestTimeout: 0, headersTimeout: 60_000 };
    const server = createServer(timeouts, (request, response) => forward(request, response, via));
    server.on('upgrade', (request, socket, head) => forwardUpgrade(request, socket, head, via));
    server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
      else socket.destroy();
    });
    try {
      await listen(server, port, this.options.host ?? '127.0.0.1');
    } catch (error) {
      throw new DeployError(
        {
          code: 'proxy.port-taken',
          what: `Port ${port} cannot be opened (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}).`,
          fix: 'Stop the program that uses it, or give the environment another port.',
        },
        { cause: error },
      );
    }
    this.listeners.set(port, server);
  }

  /** New connections end at once; requests under way are answered to their end. */
  private shut(port: number): void {
    const server = this.listeners.get(port);
    this.listeners.delete(port);
    server?.close();
    server?.closeIdleConnections();
  }

  private upstreamsOf(port: number): readonly Upstream[] {
    return this.current.routes.find((route) => route.port === port)?.upstreams ?? [];
  }
}

async function writeState(path: string, state: Routes): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeDurably(path, JSON.stringify(state));
}

/** A name that the kernel gives to one process at a time and takes back when it dies, however it dies. Linux only. */
async function takeLock(stateFile: string): Promise<Lock | null> {
  if (process.platform !== 'linux') return null;
  const lock = createLock();
  try {
    await listen(lock, `\0towpath-proxy-${sha256Hex(stateFile).slice(0, 32)}`);
    return lock;
  } catch (error) {
    throw new DeployError(
      {
        code: 'proxy.running',
        what: `Another proxy serves ${stateFile} already.`,
        fix: 'Use the one that runs, or end it first.',
      },
      { cause: error },
    );
  }
}

function listen(server: Lock, ...where: [path: string] | [port: number, host: string]): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const ready = (): void => {
      server.off('error', reject);
      resolve();
    };
    const [place, host] = where;
    if (typeof place === 'string') server.listen(place, ready);
    else server.listen(place, host, ready);
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
