import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { createEmbeddedRegistry } from '../embedded.ts';

/**
 * The embedded registry as a process of its own, to be killed: `server.ts <directory> [port]`. It prints `listening
 * <port>`, then each request: method, path, content range.
 */
const [directory = '', port = '0'] = process.argv.slice(2);
const say = (line: string) => process.stdout.write(`${line}\n`);
const embedded = await createEmbeddedRegistry({
  directory,
  host: 'localhost',
  onError: (error) => say(`error ${String(error)}`),
});
const server = createServer((request, response) => {
  say(`${request.method} ${request.url} ${request.headers['content-range'] ?? ''}`);
  void embedded.handle(request, response);
});
server.listen(Number(port), '127.0.0.1', () => say(`listening ${(server.address() as AddressInfo).port}`));
