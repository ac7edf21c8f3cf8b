import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';

import { PACE } from '../registry/client/pace.ts';

/** What sends its headers for longer is closed; Node sets no limit where the whole request has none. */
const HEADERS_MS = 60_000;

export interface Pacing {
  /** The least that the body of a request has to bring in a window. */
  readonly bytes: number;
  readonly windowMs: number;
  /** Acts again and again. @returns ends that */
  readonly every: (ms: number, act: () => void) => () => void;
}

const PACING: Pacing = {
  bytes: PACE.bytes,
  windowMs: PACE.windowMs,
  every: (ms, act) => {
    const timer = setInterval(act, ms).unref();
    return () => clearInterval(timer);
  },
};

/**
 * A server whose requests may take as long as they like (an image has gigabytes), but whose bodies may not trickle: such a
 * connection is closed with 408, and so what it held is free again. What came of an upload stays.
 */
export function createPacedServer(listener: RequestListener, pacing: Pacing = PACING): Server {
  return createServer(
    { keepAliveTimeout: 72_000, requestTimeout: 0, headersTimeout: HEADERS_MS },
    (request, response) => {
      if (hasBody(request)) keepPace(request, response, pacing);
      listener(request, response);
    },
  );
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

function keepPace(request: IncomingMessage, response: ServerResponse, { bytes, windowMs, every }: Pacing): void {
  const { socket } = request;
  let before = socket.bytesRead;
  const end = every(windowMs, () => {
    const got = socket.bytesRead - before;
    before = socket.bytesRead;
    if (request.complete || request.destroyed) return end();
    // what is there and not read yet waits for us, and not we for the sender
    if (got >= bytes || request.readableLength > 0) return;
    if (!response.headersSent && socket.writable)
      socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n');
    socket.destroy();
  });
  request.once('close', end);
}
