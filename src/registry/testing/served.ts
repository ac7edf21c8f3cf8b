import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server on a port of its own; `host` is known before it answers the first request. */
export interface Served {
  readonly host: string;
  close(): Promise<void>;
}

export async function serve(listener: (host: string) => RequestListener | Promise<RequestListener>): Promise<Served> {
  const server = createServer();
  server.keepAliveTimeout = 0; // on a busy machine a client may ask again just when it would be over
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  server.on('request', await listener(host));
  return {
    host,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
