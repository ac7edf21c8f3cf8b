import { Webhook } from 'standardwebhooks';
import { Agent } from 'undici';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { createFence } from '../../lib/fence/fence.ts';
import type { Message } from '../message.ts';
import type { Means } from '../messenger.ts';
import { broke } from '../testing/messages.ts';
import { type Receiver, startReceiver } from '../testing/receiver.ts';
import { slack } from './slack/slack.ts';
import { webhook } from './webhook/webhook.ts';

const SECRET = 'whsec_dGhlIGNhbmFyeSBvZiBhIHNlY3JldCBvZiB3ZWJob29rcw==';
const NOW = Date.parse('2030-01-01T00:00:00Z');

let receiver: Receiver;
const open = new Agent({ connect: createFence({ allow: '127.0.0.1' }).connector({}) });
const fenced = new Agent({ connect: createFence().connector({}) });

beforeAll(async () => {
  receiver = await startReceiver();
});
afterEach(() => {
  receiver.taken.length = 0;
  receiver.instead = undefined;
});
afterAll(async () => {
  await receiver.close();
  await Promise.all([open.close(), fenced.close()]);
});

const means = (more: Partial<Means> = {}): Means => ({
  now: () => NOW,
  secretOf: (reference) =>
    Promise.resolve(reference === 'env:HOOK' ? SECRET : `${receiver.url}/services/canary-of-a-path`),
  agentFor: () => open,
  mail: null,
  signal: new AbortController().signal,
  ...more,
});
const letter = { id: 'msg_1', message: broke, receiver: '', mends: null };

function hook(more: Partial<Means> = {}, url = `${receiver.url}/hook/canary-of-a-hook`) {
  return webhook.send({ ...letter, settings: { url, secret: 'env:HOOK' } }, means(more));
}

function chat(message: Message = broke) {
  return slack.send({ ...letter, message, settings: { url: 'env:SLACK' } }, means());
}

test('the library of the Standard Webhooks verifies what is sent, and refuses it when a byte is changed', async () => {
  expect(await hook({ now: () => Date.now() })).toEqual({ kind: 'taken' });
  const [first] = receiver.taken;
  const body = first?.body ?? '';
  const headers = Object.fromEntries(
    Object.entries(first?.headers ?? {}).map(([name, value]) => [name, String(value)]),
  );
  const { topic, at, ...data } = broke;
  expect(new Webhook(SECRET).verify(body, headers)).toEqual({ type: `towpath.${topic}`, timestamp: at, data });
  expect(headers['webhook-id']).toBe('msg_1');
  expect(() => new Webhook(SECRET).verify(body.replace('qa', 'qb'), headers)).toThrow();
  expect(() => new Webhook(`whsec_${btoa('another secret of the same kind')}`).verify(body, headers)).toThrow();
});

test('Slack shows a title that leads to the page; what a commit or a check says mentions nobody and is no link', async () => {
  const hostile = { ...broke, what: 'Look: <!channel> & <https://evil.example|here>.' };
  expect(await chat(hostile)).toEqual({ kind: 'taken' });
  const { text } = JSON.parse(receiver.taken[0]?.body ?? '{}') as { text: string };
  expect(text).toBe(
    [
      `*<${broke.url}|${broke.title}>*`,
      'Look: &lt;!channel&gt; &amp; &lt;https://evil.example|here&gt;.',
      'Push a fix.',
      'It brings, beyond 1111111:',
      '  4f2a91c Faster (Ada)',
    ].join('\n'),
  );
});

test.each<[string, number, Record<string, string>, object]>([
  ['asks to be left alone', 429, { 'retry-after': '120' }, { kind: 'wait', untilMs: NOW + 120_000 }],
  ['is busy for a time', 503, { 'retry-after': '7' }, { kind: 'wait', untilMs: NOW + 7_000 }],
  ['wants a year', 429, { 'retry-after': '31536000' }, { kind: 'wait', untilMs: NOW + 6 * 3_600_000 }],
  ['is out of order', 500, {}, { kind: 'away' }],
  ['knows us no more', 410, {}, { kind: 'refused', everything: true }],
  ['sends on', 307, { location: 'http://169.254.169.254/latest' }, { kind: 'refused' }],
])('a receiver that %s is taken at its word', async (_case, status, headers, verdict) => {
  receiver.instead = (response) =>
    response
      .writeHead(status, headers)
      .end(
        receiver.taken.at(-1)?.path === '/services/canary-of-a-path'
          ? 'no /services/canary-of-a-path'
          : `no ${SECRET} here`,
      );
  for (const told of [await hook(), await chat()]) {
    expect(told).toMatchObject(verdict);
    expect(JSON.stringify(told)).not.toMatch(/canary|whsec/);
  }
  expect(receiver.taken).toHaveLength(2);
});

test('one that breaks off, or is not there, is away; one that talks without end is not listened to', async () => {
  receiver.instead = (response) => response.destroy();
  expect(await hook()).toMatchObject({ kind: 'away' });
  expect(await hook({}, 'http://127.0.0.1:1/')).toMatchObject({
    kind: 'away',
    problem: { what: expect.stringContaining('127.0.0.1:1') as string },
  });
  receiver.instead = (response) => {
    response.writeHead(400);
    const more = (): void => void (response.writable && response.write('x'.repeat(16_384), () => setImmediate(more)));
    more();
  };
  expect(await hook()).toMatchObject({ kind: 'refused' });
});

test('an address of the network of the server is not called, and who may allow it is told', async () => {
  const url = receiver.url.replace('127.0.0.1', 'localhost');
  for (const address of [url, `${receiver.url}/`, 'http://[::1]/', 'http://10.0.0.1/'])
    expect(await hook({ agentFor: () => fenced }, address)).toMatchObject({
      kind: 'refused',
      problem: { code: 'outgoing.refused', fix: expect.stringContaining('TOWPATH_OUTGOING_ALLOW') as string },
    });
  expect(receiver.taken).toEqual([]);
});

test('a secret that holds no address is not shown', async () => {
  const secretOf = () => Promise.resolve('canary-of-a-password');
  const told = await slack.send({ ...letter, settings: { url: 'env:PASSWORD' } }, means({ secretOf }));
  expect(told).toMatchObject({ kind: 'refused' });
  expect(JSON.stringify(told)).not.toContain('canary');
});
