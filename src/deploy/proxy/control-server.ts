import type { IncomingMessage, ServerResponse } from 'node:http';

import { z } from 'zod';

import { problemOf } from '../../lib/error.ts';
import { RouteChange, Upstream } from './routes.ts';
import type { Proxy } from './serve.ts';

const DrainOrder = z.object({ upstream: Upstream, timeoutMs: z.number().min(0).max(86_400_000) });
const MAX_ORDER_BYTES = 1024 * 1024;

/** What the proxy tells of itself. `busy` counts the requests under way per route. */
export const ProxyStatus = z.object({
  pid: z.number(),
  routes: z.array(
    z.object({
      port: z.number(),
      owner: z.string(),
      service: z.string(),
      upstreams: z.array(Upstream.extend({ busy: z.number() })),
    }),
  ),
});
export type ProxyStatus = z.infer<typeof ProxyStatus>;

export const Drained = z.object({ busy: z.number() });

/** Answers one order over the control socket: `POST /change`, `POST /drained`, `GET /status`, `POST /stop`. */
export async function answerControl(
  request: IncomingMessage,
  response: ServerResponse,
  proxy: Proxy,
  stop: () => void,
): Promise<void> {
  try {
    switch (`${request.method} ${request.url}`) {
      case 'GET /status':
        return send(response, 200, statusOf(proxy));
      case 'POST /change':
        await proxy.change(RouteChange.parse(await bodyOf(request)));
        return send(response, 200, {});
      case 'POST /drained': {
        const { upstream, timeoutMs } = DrainOrder.parse(await bodyOf(request));
        return send(response, 200, { busy: await proxy.upstreams.drained(upstream, timeoutMs) });
      }
      case 'POST /stop':
        response.once('finish', stop);
        return send(response, 200, {});
      default:
        return send(response, 404, problemOf(new Error('unknown order'), 'proxy.unknown-order'));
    }
  } catch (error) {
    send(response, 400, problemOf(error, 'proxy.failed'));
  }
}

function statusOf(proxy: Proxy): ProxyStatus {
  return {
    pid: process.pid,
    routes: proxy.current.routes.map((route) => ({
      ...route,
      upstreams: route.upstreams.map((upstream) => ({ ...upstream, busy: proxy.upstreams.busy(upstream) })),
    })),
  };
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > MAX_ORDER_BYTES) throw new RangeError('the order is too long');
    chunks.push(bytes);
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
