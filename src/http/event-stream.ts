import { once } from 'node:events';

import type { FastifyReply } from 'fastify';

/** One server-sent event. `data` is sent as JSON; `id` is what `Last-Event-ID` will say after a reconnect. */
export interface StreamItem {
  readonly id: string;
  readonly event?: string;
  readonly data: unknown;
}

export interface StreamOptions {
  /** Ends the stream when the server stops. */
  readonly stopping: AbortSignal;
  /** A comment line this often, so that proxies keep the connection and a dead client is noticed. */
  readonly heartbeatMs: number;
  /** Then it ends and the client asks anew, with whatever its token is still worth. */
  readonly maxAgeMs: number;
}

/**
 * Sends what `open` yields until it ends, the client leaves, the server stops or the stream is too old; `open` is told of
 * all but the first by its signal. Respects a slow client: nothing piles up beyond the socket's own buffer.
 */
export async function streamEvents(
  reply: FastifyReply,
  { stopping, heartbeatMs, maxAgeMs }: StreamOptions,
  open: (signal: AbortSignal) => AsyncIterable<StreamItem>,
): Promise<void> {
  const { raw } = reply.hijack();
  const gone = new AbortController();
  const signal = AbortSignal.any([gone.signal, stopping, AbortSignal.timeout(maxAgeMs)]);
  raw.on('close', () => gone.abort());
  raw.on('error', () => gone.abort());
  raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    connection: 'close', // it is nobody's when it ends, and would keep a server that stops waiting
    'x-accel-buffering': 'no',
    'x-content-type-options': 'nosniff',
  });
  raw.write('retry: 1000\n\n');
  const heartbeat = setInterval(() => raw.write(': still here\n\n'), heartbeatMs);
  try {
    for await (const item of open(signal)) {
      if (signal.aborted) break;
      if (!raw.write(encode(item))) await once(raw, 'drain', { signal });
    }
    raw.end('event: end\ndata: {}\n\n');
  } catch (error) {
    // The status is out already; the client sees the stream break and comes back with Last-Event-ID.
    if (!signal.aborted) reply.log.error({ err: error }, 'an event stream failed');
    raw.end();
  } finally {
    clearInterval(heartbeat);
    gone.abort();
  }
}

/** @see HTML living standard, 9.2.6: a line break inside a field would begin another field, so ids lose theirs */
export function encode({ id, event, data }: StreamItem): string {
  const lines = [`id: ${oneLine(id)}`, ...(event === undefined ? [] : [`event: ${oneLine(event)}`])];
  return `${[...lines, `data: ${JSON.stringify(data)}`].join('\n')}\n\n`;
}

function oneLine(text: string): string {
  return text.replace(/[\r\n\0]/g, '');
}
