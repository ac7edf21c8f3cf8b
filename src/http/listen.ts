import type { Server } from 'node:http';

import { isPortFree } from '../lib/port.ts';
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
 * @throws HttpError `http.port-taken`
 */
export async function listen(
  listener: Listener,
  where: { readonly host: string; readonly port: number },
): Promise<() => Promise<void>> {
  try {
    await listener.listen(where);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') throw portTaken(where.port);
    throw error;
  }
  return async () => {
    const late = setTimeout(() => listener.server.closeAllConnections(), CLOSING_MS);
    await listener.close();
    clearTimeout(late);
  };
}

/** Before anything else is started for it. @throws HttpError `http.port-taken` */
export async function requireFreePort(port: number, host: string): Promise<void> {
  if (!(await isPortFree(port, host))) throw portTaken(port);
}

function portTaken(port: number): HttpError {
  return new HttpError({
    code: 'http.port-taken',
    what: `Port ${port} of this machine is in use.`,
    fix: 'Another Towpath or another program listens there. End it, or choose another port with --port (0 for any that is free).',
  });
}
