import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';

import { sha256 } from '../../../lib/digest.ts';
import type { CheckAnswer } from '../../kind.ts';
import { copyingRunner } from '../../testing/copying-runner.ts';
import { memorySource } from '../../testing/source.ts';
import { httpProbe } from './http-probe.ts';

let server: Server | undefined;
let lines: string[] = [];

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((done) => (server === undefined ? done(undefined) : server.close(done)));
  server = undefined;
});

test('a service that answers as it must passes', async () => {
  const url = await serve((_, response) => response.end('all well'));
  expect(await probe({ path: '/healthz', contains: 'well' }, url)).toEqual({
    verdict: 'passed',
    summary: 'GET /healthz gave 200',
  });
});

test('a wrong status or text fails after the tries, each told', async () => {
  const url = await serve((_, response) => response.writeHead(503).end());
  expect(await probe({ path: '/', attempts: 2, interval: '1ms' }, url)).toEqual({
    verdict: 'failed',
    summary: 'GET / gave 503, not 200',
  });
  expect(lines).toHaveLength(2);
  expect(await probe({ path: '/', status: 503, contains: 'x', attempts: 1 }, url)).toMatchObject({ verdict: 'failed' });
});

test('a service that comes up a little later passes', async () => {
  let asked = 0;
  const url = await serve((_, response) => response.writeHead(++asked < 3 ? 502 : 200).end());
  expect(await probe({ path: '/', interval: '1ms' }, url)).toMatchObject({ verdict: 'passed' });
});

test('a redirect is an answer and not followed', async () => {
  const url = await serve((_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end());
  expect(await probe({ path: '/', attempts: 1 }, url)).toMatchObject({ summary: 'GET / gave 302, not 200' });
  expect(await probe({ path: '/', status: [200, 302] }, url)).toMatchObject({ verdict: 'passed' });
});

test('no path leads to another host', async () => {
  let asked = '';
  const url = await serve((request, response) => {
    asked = request.url ?? '';
    response.end();
  });
  expect(await probe({ path: '//127.0.0.1:1/x' }, url)).toMatchObject({ verdict: 'passed' });
  expect(asked).toBe('//127.0.0.1:1/x');
});

test('headers and method are sent as they are', async () => {
  const url = await serve(({ method, headers }, response) =>
    response.writeHead(method === 'HEAD' && headers['x-a'] === 'b' ? 200 : 400).end(),
  );
  expect(await probe({ path: '/', method: 'HEAD', headers: { 'x-a': 'b' } }, url)).toMatchObject({ verdict: 'passed' });
});

test('nobody who listens is a failure that says so', async () => {
  expect(await probe({ path: '/', attempts: 1 }, 'http://127.0.0.1:1')).toEqual({
    verdict: 'failed',
    summary: 'GET / was not answered (ECONNREFUSED)',
  });
});

test('an answer that never ends, or never comes, ends with the time', async () => {
  const endless = await serve((_, response) => {
    const more = (): boolean => response.write(Buffer.alloc(65_536, 'x'));
    response.on('drain', more);
    more();
  });
  expect(await probe({ path: '/', contains: 'y', attempts: 1 }, endless)).toMatchObject({ verdict: 'failed' });
  server?.removeAllListeners('request');
  expect(await probe({ path: '/' }, endless, 200)).toMatchObject({ verdict: 'error' });
});

test('a service without a URL cannot be asked', async () => {
  expect(await probe({ path: '/' }, undefined)).toMatchObject({ verdict: 'error' });
});

test('a cancel is no answer', async () => {
  const cancel = new AbortController();
  const url = await serve(() => cancel.abort(new Error('cancelled')));
  await expect(probe({ path: '/' }, url, 60_000, cancel.signal)).rejects.toThrow('cancelled');
});

async function serve(listener: RequestListener): Promise<string> {
  const made = createServer(listener);
  server = made;
  await new Promise<void>((done) => made.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(made.address() as AddressInfo).port}`;
}

async function probe(
  http: Record<string, unknown>,
  url: string | undefined,
  timeoutMs = 60_000,
  signal = new AbortController().signal,
): Promise<CheckAnswer> {
  lines = [];
  return httpProbe.ask(
    {
      definition: z.strictObject(httpProbe.fields).parse({ http }),
      check: 'smoke',
      service: 'web',
      digest: sha256('web'),
      commit: '4f2a91c',
      source: memorySource({}),
      parts: [],
      urls: url === undefined ? {} : { web: url },
      name: 'check-1',
      timeoutMs,
      log: (line) => lines.push(line),
      signal,
    },
    {
      runner: copyingRunner(),
      image: () => Promise.reject(new Error('a probe needs no image')),
      directory: '/nowhere',
      sonar: null,
    },
  );
}
