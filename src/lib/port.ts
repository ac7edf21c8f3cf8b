import { createServer } from 'node:net';

/** Whether nobody listens on this port of the machine, at this moment. */
export async function isPortFree(port: number, host?: string): Promise<boolean> {
  return (await listenOnce(port, host)) !== null;
}

/** A port that nobody listens on right now; for tests and demonstrations, which name none. */
export async function freePort(host?: string): Promise<number> {
  const port = await listenOnce(0, host);
  if (port === null) throw new Error('This machine has no free port.');
  return port;
}

/** @returns the port that was listened on for a moment, or null when that was not allowed */
function listenOnce(port: number, host: string | undefined): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(null));
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : null));
    });
  });
}
