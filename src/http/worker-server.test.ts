import { createServer } from 'node:http';
import { connect } from 'node:net';

import { expect, onTestFinished, test } from 'vitest';

import { freePort } from '../lib/port.ts';
import { listen, requireFreePort } from './listen.ts';
import { testServer } from './testing/server.ts';
import { createWorkerServer } from './worker-server.ts';

const registry = {
  handle: async (_request: unknown, response: { end(text: string): unknown }) => void response.end('an image'),
};

test('a server that only works gives images away, and says of everything else who answers it', async () => {
  const { guard, passes } = await testServer();
  const port = await freePort('127.0.0.1');
  const close = await listen(createWorkerServer({ guard, passes, registry, registryOpenToLoopback: true }), {
    host: '127.0.0.1',
    port,
  });
  onTestFinished(close);
  expect(await (await fetch(`http://127.0.0.1:${port}/v2/shop/web/manifests/v1`)).text()).toBe('an image');
  expect((await fetch(`http://127.0.0.1:${port}/v2/shop/web/blobs/uploads/`, { method: 'POST' })).status).toBe(401);
  const answer = await fetch(`http://127.0.0.1:${port}/api/v1/status`);
  expect(answer.status).toBe(404);
  expect(await answer.json()).toMatchObject({ code: 'http.worker-only' });
});

test('a port that is taken is named before anything is started, and when it is lost at the last moment', async () => {
  const { server } = await testServer();
  const taken = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void taken.close());
  await new Promise((resolve) => taken.once('listening', resolve));
  const address = taken.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await expect(requireFreePort({ host: '127.0.0.1', port })).rejects.toMatchObject({ code: 'http.port-taken' });
  await expect(listen(server, { host: '127.0.0.1', port })).rejects.toMatchObject({ code: 'http.port-taken' });
});

test('closing waits for no client that says nothing', async () => {
  const { server } = await testServer();
  const port = await freePort('127.0.0.1');
  const close = await listen(server, { host: '127.0.0.1', port });
  const silent = connect(port, '127.0.0.1');
  const ended = new Promise((resolve) => silent.once('close', resolve));
  await new Promise((resolve) => silent.write('POST /api/v1/projects HTTP/1.1\r\nhost: x\r\n', resolve));
  silent.on('error', () => undefined);
  await close();
  await ended;
});
