import { afterEach, beforeEach, expect, test } from 'vitest';

import { encode } from './event-stream.ts';
import { testServer, type TestServer } from './testing/server.ts';

let house: TestServer;
let base: string;
let headers: Record<string, string>;

beforeEach(async () => {
  house = await testServer({ heartbeatMs: 20 });
  base = await house.listen();
  headers = { authorization: `Bearer ${await house.token('viewer')}` };
});
afterEach(() => house.server.close());

/** Reads a stream until it contains what is looked for, or ends. */
async function readUntil(response: Response, wanted: string): Promise<string> {
  let text = '';
  if (response.body === null) return text;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  while (!text.includes(wanted)) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
  }
  await reader.cancel();
  return text;
}

test('a change is told to whoever listens, as it happens', async () => {
  const response = await fetch(`${base}/api/v1/events`, { headers });
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  house.useCases.world.tell('environment.changed', 'prod');
  const text = await readUntil(response, '"subject":"prod"');
  expect(text).toMatch(/^retry: 1000\n\n/);
  expect(text).toMatch(/id: 2\nevent: change\ndata: \{.*"kind":"environment\.changed".*\}\n\n/);
});

test('who comes back says where it was and misses nothing', async () => {
  house.useCases.world.tell('environment.changed', 'demo');
  house.useCases.world.tell('environment.changed', 'prod');
  const response = await fetch(`${base}/api/v1/events`, { headers: { ...headers, 'last-event-id': '1' } });
  const text = await readUntil(response, '"subject":"prod"');
  expect(text).toContain('"subject":"demo"');
  expect(text).not.toContain('"subject":"qa"');
});

test('one who listens to one project is not told of another', async () => {
  const response = await fetch(`${base}/api/v1/events?project=bank`, { headers });
  house.useCases.world.tell('environment.changed', 'prod');
  expect(await readUntil(response, 'still here')).not.toContain('prod');
});

test('a stream says that it is still there, and ends when the server stops', async () => {
  const response = await fetch(`${base}/api/v1/events`, { headers });
  const text = readUntil(response, 'event: end');
  await house.server.close();
  expect(await text).toContain('event: end');
});

test('a stream does not outlive the token that opened it for long', async () => {
  const own = await testServer({ maxAgeMs: 50 });
  const response = await fetch(`${await own.listen()}/api/v1/events`, {
    headers: { authorization: `Bearer ${await own.token('viewer')}` },
  });
  expect(await readUntil(response, 'never')).toMatch(/event: end\ndata: \{\}\n\n$/);
  await own.server.close();
});

test('a client that leaves frees what was listening for it', async () => {
  let freed: (() => void) | undefined;
  const left = new Promise<void>((resolve) => (freed = resolve));
  house.useCases.events.follow = async function* (_after, signal) {
    yield { id: '1', at: '', project: null, kind: 'k', subject: 's', data: {} };
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    freed?.();
  };
  const response = await fetch(`${base}/api/v1/events`, { headers });
  await readUntil(response, 'id: 1');
  await left;
});

test('a log is followed to its end, from the line that was asked for', async () => {
  const whole = await fetch(`${base}/api/v1/logs/log_1/follow`, { headers });
  expect(await readUntil(whole, 'event: end')).toContain('npm ci');
  const rest = await readUntil(await fetch(`${base}/api/v1/logs/log_1/follow?after=1`, { headers }), 'event: end');
  expect(rest).not.toContain('npm ci');
  expect(rest).toContain('"ended":true');
  expect((await fetch(`${base}/api/v1/logs/nothing/follow`, { headers })).status).toBe(404);
});

test('what a service prints is streamed to its end, from where a reader was', async () => {
  const mine = { authorization: `Bearer ${await house.token('developer')}` };
  const url = `${base}/api/v1/projects/shop/environments/prod/services/web/output`;
  const whole = await readUntil(await fetch(url, { headers: mine }), 'event: end');
  expect(whole).toContain('"lines":["listening","GET /"]');
  expect(whole).toContain('"ended":true');
  const rest = await readUntil(
    await fetch(`${url}?follow=true&tail=5`, { headers: { ...mine, 'last-event-id': '1' } }),
    'event: end',
  );
  expect(rest).not.toContain('GET /');
  expect(rest).toContain('"promotion":13');
});

test('output that this server cannot read is a problem that says where to ask, not a stream', async () => {
  const mine = { authorization: `Bearer ${await house.token('developer')}` };
  const at = (service: string, more = '') =>
    fetch(`${base}/api/v1/projects/shop/environments/prod/services/${service}/output${more}`, { headers: mine });
  const elsewhere = await at('worker');
  expect(elsewhere.status).toBe(422);
  expect(await elsewhere.json()).toMatchObject({ code: 'output.elsewhere', fix: expect.stringContaining('--server') });
  expect((await at('web', '?tail=5001')).status).toBe(400);
  expect((await at('web', '?tial=5')).status).toBe(400);
});

test('a client that leaves frees what was reading a service for it', async () => {
  let freed: (() => void) | undefined;
  const left = new Promise<void>((resolve) => (freed = resolve));
  house.useCases.output.open = async () =>
    async function* (_wish, signal) {
      yield { replica: 'a-0', promotion: 1, lines: ['here'], note: null, seq: 'a-0=1', ended: false };
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      freed?.();
    };
  const mine = { authorization: `Bearer ${await house.token('developer')}` };
  const url = `${base}/api/v1/projects/shop/environments/prod/services/web/output?follow=true`;
  await readUntil(await fetch(url, { headers: mine }), 'here');
  await left;
});

test('no id can smuggle a field into the stream', () => {
  expect(encode({ id: '1\ndata: evil', event: 'a\r\nb', data: 'x\ny' })).toBe(
    'id: 1data: evil\nevent: ab\ndata: "x\\ny"\n\n',
  );
});
