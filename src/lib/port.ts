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

/** A port that nobody listens on right now; for tests and demonstrations, which name none. */
export function freePort(host?: string): Promise<number> {
  return tryPort(0, host);
}
