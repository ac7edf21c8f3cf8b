import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Whether nobody listens on this port of the machine, at this moment. */
export async function isPortFree(port: number, host?: string): Promise<boolean> {
  return tryPort(port, host).then(
    () => true,
    () => false,
  );
}

/**
 * Listens for a moment, so that what the system says against it is known before anything is started for it.
 * @param port 0: one that nobody listens on right now
 * @returns the port
 * @throws the error of the system
 */
export function tryPort(port: number, host?: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}

/** Below the ports that systems give to outgoing connections, so that none of those ever sits on one of ours. */
export const QUIET_PORTS = { first: 20_000, count: 10_000 } as const;

/** A port for a program that is still to be started: nobody listens on it now, and no outgoing connection will sit on it. */
export async function quietPort(host?: string): Promise<number> {
  const { first, count } = QUIET_PORTS;
  const start = randomInt(count); // two that look at the same moment find different ones
  for (let step = 0; step < count; step++) {
    const port = first + ((start + step) % count);
    if (await isPortFree(port, host)) return port;
  }
  return freePort(host);
}

/** A port that nobody listens on right now; for tests and demonstrations, which name none. */
export function freePort(host?: string): Promise<number> {
  return tryPort(0, host);
}
