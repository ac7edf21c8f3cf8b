import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { createServer, get } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { answerWithFile } from './file-answer.ts';

const CONTENT = randomBytes(8 * 1024 * 1024 + 17);

async function serve({ promised = CONTENT.length } = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const path = join(directory, 'content');
  await writeFile(path, CONTENT);
  const failures: unknown[] = [];
  const server = createServer((_, response) => void answer(response));
  const answer = async (response: ServerResponse) => {
    response.writeHead(200, { 'content-length': promised });
    await answerWithFile(response, await open(path), { start: 0, end: promised - 1 }).catch((error: unknown) => {
      failures.push(error);
      response.destroy();
    });
  };
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { port, path, failures };
}

async function heldOpen(path: string): Promise<number> {
  const files = await readdir('/proc/self/fd');
  const targets = await Promise.all(files.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return targets.filter((target) => target === path).length;
}

test('a reader that pauses again and again gets the very bytes', async () => {
  const { port, path } = await serve();
  const [answer] = (await once(get({ port }), 'response')) as [IncomingMessage];
  const hash = createHash('sha256');
  for await (const piece of answer) {
    hash.update(piece as Buffer);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(hash.digest('hex')).toBe(createHash('sha256').update(CONTENT).digest('hex'));
  await expect.poll(() => heldOpen(path)).toBe(0);
});

test('when the reader leaves, the file is closed; that of an answer which waits for its turn too', async () => {
  const { port, path, failures } = await serve();
  const socket = connect(port, '127.0.0.1');
  const request = 'GET / HTTP/1.1\r\nhost: towpath\r\n\r\n';
  socket.write(request + request);
  await expect.poll(() => heldOpen(path)).toBe(2);
  socket.destroy();
  await expect.poll(() => heldOpen(path)).toBe(0);
  expect(failures).toHaveLength(2);
});

test('a file that is shorter than was promised cuts the answer off', async () => {
  const { port, path, failures } = await serve({ promised: CONTENT.length + 1 });
  const [answer] = (await once(get({ port }), 'response')) as [IncomingMessage];
  await expect(answer.toArray()).rejects.toThrow('aborted');
  expect(failures).toEqual([expect.objectContaining({ message: expect.stringContaining('ends at 8388625 bytes') })]);
  await expect.poll(() => heldOpen(path)).toBe(0);
});
