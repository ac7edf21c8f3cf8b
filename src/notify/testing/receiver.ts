import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Receiver {
  readonly url: string;
  readonly taken: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: string }[];
  /** Answers in place of a 204, when set. Whatever it does, what came is in `taken`. */
  instead: ((response: ServerResponse) => void) | undefined;
  close(): Promise<void>;
}

/** Whoever takes what is sent by HTTP. */
export async function startReceiver(): Promise<Receiver> {
  const receiver: Omit<Receiver, 'url' | 'close'> = { taken: [], instead: undefined };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      receiver.taken.push({ path: request.url ?? '', headers: request.headers, body });
      if (receiver.instead === undefined) response.writeHead(204).end();
      else receiver.instead(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(receiver, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}
