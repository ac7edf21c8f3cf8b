import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { createTarballs } from './tarballs.ts';

const BYTES = Buffer.from('the bytes of a package');
const INTEGRITY = `sha512-${createHash('sha512').update(BYTES).digest('base64')}`;
const signal = new AbortController().signal;

let folder: string;
let servers: Server[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-tarballs-'));
  servers = [];
});
afterEach(async () => {
  for (const server of servers) server.close().closeAllConnections();
  await rm(folder, { recursive: true });
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const fetchFrom = async (host: string, authorizations: Record<string, string> = {}, maxMib?: number) =>
  createTarballs(join(folder, 'kept'), maxMib)(
    { name: 'oar', version: '1.0.0', integrity: INTEGRITY },
    { registry: `http://${host}/`, scopes: {}, authorizations },
    signal,
  );

test('a package that was fetched is kept, and one that is torn on disk is fetched again', async () => {
  let asked = 0;
  const host = await serve((_, response) => response.end((asked++, BYTES)));
  expect(await fetchFrom(host)).toEqual(BYTES);
  expect(await fetchFrom(host)).toEqual(BYTES);
  expect(asked).toBe(1);
  const [file = '', ...others] = await readdir(join(folder, 'kept'));
  expect(others).toEqual([]);
  await writeFile(join(folder, 'kept', file), BYTES.subarray(0, 5));
  expect(await fetchFrom(host)).toEqual(BYTES);
  expect(asked).toBe(2);
});

test('a registry that sends to its storage is followed, and its token stays with it', async () => {
  const seen: IncomingMessage['headers'][] = [];
  const storage = await serve(({ headers }, response) => response.end((seen.push(headers), BYTES)));
  const host = await serve(({ headers }, response) => {
    seen.push(headers);
    response.writeHead(302, { location: `http://${storage}/oar` }).end();
  });
  expect(await fetchFrom(host, { [`//${host}/`]: 'Bearer secret' })).toEqual(BYTES);
  expect(seen.map(({ authorization }) => authorization)).toEqual(['Bearer secret', undefined]);
});

test('a registry that is busy is asked again', async () => {
  const answers = [503, 429, 200];
  const host = await serve((_, response) => response.writeHead(answers.shift() ?? 500).end(BYTES));
  expect(await fetchFrom(host)).toEqual(BYTES);
});

test('what is not there, or has another hash, is said with its name', async () => {
  const missing = await serve((_, response) => response.writeHead(404).end());
  await expect(fetchFrom(missing)).rejects.toMatchObject({
    code: 'artifact.package-unreachable',
    what: expect.stringContaining('oar@1.0.0') as string,
  });
  const wrong = await serve((_, response) => response.end('other bytes'));
  await expect(fetchFrom(wrong)).rejects.toMatchObject({ code: 'artifact.integrity' });
});

test('a registry that sends more than a package can be is refused, and nothing else happens', async () => {
  const host = await serve((_, response) => response.writeHead(200, { 'content-length': 2 * 1024 ** 3 }).write('x'));
  await expect(fetchFrom(host)).rejects.toMatchObject({
    code: 'artifact.package-unreachable',
    what: expect.stringContaining('larger than 1024 MiB') as string,
  });
});

test('a package that grows beyond what one can be is refused, also where its length is not announced', async () => {
  const host = await serve((_, response) => {
    const more = (): boolean => response.write(Buffer.alloc(64 * 1024));
    response.on('drain', more);
    more();
  });
  await expect(fetchFrom(host, {}, 1)).rejects.toMatchObject({
    what: expect.stringContaining('larger than 1 MiB') as string,
  });
});
