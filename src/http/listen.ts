import type { Server } from 'node:http';

import { tryPort } from '../lib/port.ts';
import { HttpError } from './http-error.ts';

/** A server that is ready and does not listen yet. */
export interface Listener {
  readonly server: Server;
  listen(where: { readonly host: string; readonly port: number }): Promise<unknown>;
  close(): Promise<unknown>;
}

const CLOSING_MS = 3_000;

/**
 * @returns closes it: requests that are under way get a moment to end, and are cut off then
 * @throws HttpError `http.port-taken`, `http.address-unusable`
 */
export async function listen(
  listener: Listener,
  where: { readonly host: string; readonly port: number },
): Promise<() => Promise<void>> {
  try {
    await listener.listen(where);
  } catch (error) {
    throw refusedBySystem(error, where);
  }
  return async () => {
    const late = setTimeout(() => listener.server.closeAllConnections(), CLOSING_MS);
    await listener.close();
    clearTimeout(late);
  };
}

/**
 * Before anything else is started for it.
 * @param where port 0: a free one
 * @returns the port
 * @throws HttpError `http.port-taken`, `http.address-unusable`
 */
export async function requireFreePort(where: { readonly host: string; readonly port: number }): Promise<number> {
  try {
    return await tryPort(where.port, where.host);
  } catch (error) {
    throw refusedBySystem(error, where);
  }
}

function refusedBySystem(cause: unknown, { host, port }: { readonly host: string; readonly port: number }): HttpError {
  if ((cause as NodeJS.ErrnoException).code === 'EADDRINUSE')
    return new HttpError({
      code: 'http.port-taken',
      what: `Port ${port} of this machine is in use.`,
      fix: 'Another Towpath or another program listens there. End it, or choose another port with --port (0 for any that is free).',
    });
  const why = cause instanceof Error ? cause.message : String(cause);
  const problem = {
    code: 'http.address-unusable',
    what: `The server cannot listen on ${host}, port ${port}: ${why}.`,
    fix: 'Give an address of this machine with --host, and with --port a port that your user may listen on.',
  };
  return new HttpError(problem, { cause });
}
