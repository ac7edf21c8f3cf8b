import { type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import { passedHeaders, requestHeaders, upgradeHeaders } from './headers.ts';
import type { Upstream } from './routes.ts';
import type { Upstreams } from './upstreams.ts';

export interface Forwarding {
  readonly upstreams: Upstreams;
  /** Asked anew for each try: a switch may have come between. */
  route(): readonly Upstream[];
  readonly port: number;
}

/** Requests that may be sent twice without harm (RFC 9110, 9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
/** Before each try: some five seconds in all, for on a busy machine a switch may be that much later than the end of what ran before it. */
const PAUSES_MS = [0, 0, 20, 100, 300, 600, 1000, 1000, 1000, 1000];
const TRIES = PAUSES_MS.length;
/** How long one side of an upgraded connection may go on after the other said that it has no more to say. */
const HALF_CLOSED_MS = 5000;
/** A machine that is gone refuses nothing: what it does not take is asked of another. It is long for one that is busy. */
const CONNECT_MS = 3000;

/**
 * Passes a request on and its answer back. It is tried again when it never reached an upstream (whatever its method),
 * or when it may be sent twice, has no body, and not one byte of an answer had come.
 */
export function forward(incoming: IncomingMessage, outgoing: ServerResponse, via: Forwarding): void {
  const idempotent = IDEMPOTENT.has(incoming.method ?? '');
  const chunked = incoming.headers['transfer-encoding'] !== undefined;
  const hasBody = chunked || Number(incoming.headers['content-length'] ?? 0) > 0;
  const headers = requestHeaders(incoming.rawHeaders, { ...originOf(incoming, via.port), chunked });
  const failed: Upstream[] = [];
  const attempt = (count: number): void => {
    if (outgoing.destroyed) return;
    const taken = via.upstreams.acquire(via.route(), failed);
    if (taken === null) return refuse(outgoing, 503, 'Nothing runs behind this address now.');
    const { upstream, agent, release } = taken;
    const out = httpRequest({
      host: upstream.host,
      port: upstream.port,
      method: incoming.method,
      path: incoming.url,
      headers,
      setHost: false,
      // What must not be sent twice gets a connection of its own, which no idle timeout can close under it.
      agent: idempotent ? agent : false,
    });
    let sent = false;
    const abandon = (): void => {
      if (!outgoing.writableFinished) out.destroy();
    };
    outgoing.once('close', abandon);
    out.once('response', (answer) => respond(answer, outgoing));
    out.once('close', () => {
      outgoing.off('close', abandon);
      release();
    });
    out.once('error', () => {
      if (outgoing.headersSent || outgoing.destroyed) return void outgoing.destroy();
      const again = !sent || (idempotent && !hasBody);
      failed.push(upstream);
      if (!again || count + 1 >= TRIES) return refuse(outgoing, 502, 'The service did not answer.');
      setTimeout(() => attempt(count + 1), PAUSES_MS[count + 1]);
    });
    onConnected(out, () => {
      sent = true;
      if (hasBody) incoming.pipe(out);
      else out.end();
    });
  };
  attempt(0);
}

/** Passes an upgrade (WebSocket) on: after the upstream's answer both sides are one stream. */
export function forwardUpgrade(
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  via: Forwarding,
  failed: readonly Upstream[] = [],
): void {
  if (socket.destroyed) return;
  const taken = via.upstreams.acquire(via.route(), failed);
  if (taken === null) return void socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n');
  const { upstream, release } = taken;
  const headers = upgradeHeaders(incoming.rawHeaders, originOf(incoming, via.port));
  const out = httpRequest({
    host: upstream.host,
    port: upstream.port,
    method: incoming.method,
    path: incoming.url,
    headers,
    setHost: false,
    agent: false,
  });
  let sent = false;
  onConnected(out, () => (sent = true));
  const abandon = (): void => {
    out.destroy();
    release();
  };
  if (failed.length === 0) socket.on('error', () => undefined);
  socket.on('error', abandon);
  socket.once('close', abandon);
  out.once('upgrade', (answer, peer, first) => {
    socket.write(headOf(answer));
    if (first.length > 0) socket.write(first);
    if (head.length > 0) peer.write(head);
    peer.on('error', () => socket.destroy());
    peer.once('close', () => socket.destroy());
    socket.once('close', () => peer.destroy());
    for (const [ended, other] of [
      [socket, peer],
      [peer, socket],
    ] as const) {
      ended.once('end', () => setTimeout(() => other.destroy(), HALF_CLOSED_MS).unref());
    }
    peer.pipe(socket).pipe(peer);
  });
  out.once('response', (answer) => {
    socket.write(headOf(answer, 'close'));
    answer.pipe(socket);
  });
  out.once('error', () => {
    const tried = [...failed, upstream];
    if (sent || tried.length >= TRIES) {
      socket.destroy();
      return;
    }
    socket.off('error', abandon);
    socket.off('close', abandon);
    release();
    setTimeout(() => forwardUpgrade(incoming, socket, head, via, tried), PAUSES_MS[tried.length]);
  });
  out.end();
}

function respond(answer: IncomingMessage, outgoing: ServerResponse): void {
  const { statusCode = 502, statusMessage = '' } = answer;
  // An array of pairs keeps order, case and repetition of headers.
  outgoing.writeHead(statusCode, statusMessage, passedHeaders(answer.rawHeaders));
  if (answer.headers['content-length'] === undefined) outgoing.flushHeaders(); // a stream of events may be silent at first
  answer.once('error', () => outgoing.destroy());
  answer.once('aborted', () => outgoing.destroy()); // a half answer must look like one
  answer.pipe(outgoing);
}

function onConnected(out: ReturnType<typeof httpRequest>, then: () => void): void {
  out.once('socket', (socket) => {
    if (!socket.connecting) return then();
    const late = setTimeout(() => out.destroy(new Error('no connection in time')), CONNECT_MS);
    out.once('close', () => clearTimeout(late));
    socket.once('connect', () => {
      clearTimeout(late);
      then();
    });
  });
}

function originOf(
  incoming: IncomingMessage,
  port: number,
): { address: string; host: string | undefined; port: number } {
  return { address: incoming.socket.remoteAddress ?? 'unknown', host: incoming.headers.host, port };
}

function refuse(outgoing: ServerResponse, status: number, text: string): void {
  if (outgoing.headersSent) return void outgoing.destroy();
  outgoing.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'retry-after': '1' });
  outgoing.end(`${text}\n`);
}

function headOf(answer: IncomingMessage, connection?: string): string {
  const raw =
    connection === undefined ? answer.rawHeaders : [...passedHeaders(answer.rawHeaders), 'Connection', connection];
  const lines = Array.from({ length: raw.length / 2 }, (_, index) => `${raw[index * 2]}: ${raw[index * 2 + 1]}`);
  return `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n${lines.join('\r\n')}\r\n\r\n`;
}
