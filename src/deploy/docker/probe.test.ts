import { createServer, type Server, type Socket } from 'node:net';

import { afterEach, expect, test } from 'vitest';

import { probeContainer } from './probe.ts';

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

test('a connection that holds is well, also when the program speaks first', async () => {
  expect(await probe(() => undefined)).toBe(true);
  expect(await probe((socket) => socket.write('220 hello\r\n'))).toBe(true);
});

test('one that is accepted and hung up at once is not: that is the proxy of the engine, with nothing behind it', async () => {
  expect(await probe((socket) => socket.end())).toBe(false);
  expect(await probe((socket) => socket.resetAndDestroy())).toBe(false);
});

test('a port that nobody listens on is not well', async () => {
  expect(await probeContainer({ host: '127.0.0.1', port: 1 }, null, 2000)).toBe(false);
});

async function probe(behave: (socket: Socket) => void): Promise<boolean> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    behave(socket);
  });
  servers.push(server);
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
  return probeContainer({ host: '127.0.0.1', port }, null, 2000);
}
