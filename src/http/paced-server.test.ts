import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { expect, onTestFinished, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { createEmbeddedRegistry } from '../registry/embedded/embedded.ts';
import { noise } from '../registry/testing/images.ts';
import { talkTo } from '../registry/testing/talk.ts';
import { createPacedServer } from './paced-server.ts';

const BYTES = 60 * 1024;

test('uploads that trickle are closed and hold nothing, those that are slow go on, and each goes on where it was', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-paced-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const registry = await createEmbeddedRegistry({ directory, host: 'registry.test' });
  const { port, window, watched } = await served((request, response) => void registry.handle(request, response));
  const talk = talkTo(`127.0.0.1:${port}`);
  const bytes = noise(2 * BYTES);
  const sizeOf = async (location: string): Promise<number> => {
    const { headers } = await talk.ask('GET', location);
    return Number(headers['range']?.split('-')[1]) + 1;
  };
  const begin = async () => {
    const location = await talk.begin();
    const socket = connect(port, '127.0.0.1');
    socket.write(`PATCH ${location} HTTP/1.1\r\nhost: x\r\ncontent-length: ${bytes.length}\r\n\r\n`);
    socket.write(bytes.subarray(0, 60));
    await expect.poll(() => sizeOf(location)).toBe(60);
    return { location, socket };
  };
  const trickling = await Promise.all([begin(), begin(), begin()]);
  const slow = await begin();
  slow.socket.write(bytes.subarray(60, 60 + BYTES));
  await expect.poll(() => sizeOf(slow.location)).toBe(60 + BYTES);
  expect(watched()).toBe(4);
  window();
  for (const { socket } of trickling) expect(await text(socket)).toMatch(/^HTTP\/1.1 408 /);
  await expect.poll(watched).toBe(1);
  slow.socket.write(bytes.subarray(60 + BYTES));
  const [answer] = await once(slow.socket, 'data');
  expect(String(answer)).toMatch(/^HTTP\/1.1 202 /);
  slow.socket.destroy();
  for (const { location } of [...trickling, slow]) {
    const rest = bytes.subarray(await sizeOf(location));
    const { status } = await talk.ask('PUT', `${location}?digest=${sha256(bytes)}`, rest);
    expect(status).toBe(201);
  }
});

test('a body waits for a server that is behind, and one of the API may not trickle either', async () => {
  const held: IncomingMessage[] = [];
  const { server, port, window, watched } = await served((request, response) => {
    held.push(request);
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    if (request.url === '/read') request.resume();
  });
  expect(server.headersTimeout).toBe(60_000);
  const [behind, read] = ['/behind', '/read'].map((path) => {
    const socket = connect(port, '127.0.0.1');
    socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n`);
    return socket;
  });
  await expect.poll(() => held.length).toBe(2);
  const unread = () => held.find(({ url }) => url === '/behind')?.readableLength;
  await expect.poll(unread).toBe(1);
  window();
  window();
  expect(await text(read ?? expect.unreachable())).toMatch(/^HTTP\/1.1 408 /);
  await expect.poll(watched).toBe(1);
  expect(behind?.readyState).toBe('open');
  behind?.destroy();
  await expect.poll(watched).toBe(0);
});

/** A server whose windows end when the test says so. */
async function served(listener: RequestListener) {
  const acts = new Set<() => void>();
  const every = (_ms: number, act: () => void) => {
    acts.add(act);
    return () => void acts.delete(act);
  };
  const server = createPacedServer(listener, { bytes: BYTES, windowMs: 1, every });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const window = () => {
    for (const act of acts) act();
  };
  return { server, port: (server.address() as AddressInfo).port, window, watched: () => acts.size };
}
