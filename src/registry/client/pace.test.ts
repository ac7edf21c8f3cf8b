import type { ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';

import { Agent, request } from 'undici';
import { afterAll, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { bucketZips } from '../s3/bucket-zips.ts';
import { bucketPlace } from '../s3/place.ts';
import { noise } from '../testing/images.ts';
import { serve } from '../testing/served.ts';
import { createRegistryClient } from './client.ts';
import { atPace } from './pace.ts';

const agent = new Agent({ connections: 4 });
afterAll(() => agent.close());

const bytes = noise(500);
const digest = sha256(bytes);
const shared = { agentFor: () => agent, retry: { attempts: 3, wait: async () => {} } };

test('a blob that trickles is taken up again where it was, and given up when it always does', async () => {
  const { host, pace, asked, close } = await trickling(1);
  const registry = createRegistryClient({ host, pace, ...shared });
  expect(await buffer(await registry.readBlob('team/app', digest))).toEqual(bytes);
  expect(asked()).toBe(2);
  await close();
  const worse = await trickling(99);
  const away = createRegistryClient({ host: worse.host, pace: worse.pace, ...shared });
  await expect(buffer(await away.readBlob('team/app', digest))).rejects.toMatchObject({
    code: 'registry.unreachable',
    what: `${worse.host} sends less than 1 KiB a second.`,
  });
  expect(worse.asked()).toBe(3);
  await worse.close();
});

test('a manifest, an answer that nobody reads and a zip of a bucket do not trickle for ever either', async () => {
  const { host, pace, close } = await trickling(99);
  const registry = createRegistryClient({ host, pace, ...shared });
  const zips = bucketZips({
    place: bucketPlace('s3://zips', { AWS_ENDPOINT_URL: `http://${host}` }),
    keys: async () => ({ accessKeyId: 'A', secretAccessKey: 'canary' }),
    pace,
    ...shared,
  });
  const slow = { code: 'registry.unreachable' };
  await expect(registry.manifest('team/app', digest)).rejects.toMatchObject(slow);
  expect(await registry.manifest('team/gone', digest)).toBeNull();
  await expect(buffer(await zips.readBlob('a/f', digest))).rejects.toMatchObject(slow);
  await close();
});

test('time in which the reader was behind does not count', async () => {
  const size = 1_000_000;
  const served = await serve(() => (_, response) => response.end(Buffer.alloc(size)));
  let now = 0;
  const pace = { bytes: 2 * size, windowMs: 60_000, elapsed: () => now };
  const url = new URL(`http://${served.host}`);
  const { body } = await request(url, { dispatcher: atPace(pace, () => agent)(url) });
  while (body.readableLength < body.readableHighWaterMark) await setImmediate();
  now += 600_000;
  expect((await buffer(body)).length).toBe(size);
  await served.close();
});

/**
 * A server that sends a byte a second for the first `times`, by a clock that goes on with each byte that arrives, and is
 * quick from then on.
 */
async function trickling(times: number) {
  let asked = 0;
  let now = 0;
  let slow: ServerResponse | null = null;
  let at = 0;
  const more = () => slow?.write(bytes.subarray(at, ++at));
  const served = await serve(() => ({ url = '', headers }, response) => {
    const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
    response.writeHead(url.includes('gone') ? 404 : from === 0 ? 200 : 206, { 'content-length': bytes.length - from });
    asked++;
    if (asked > times) return response.end(bytes.subarray(from));
    slow = response;
    at = from;
    return more();
  });
  const elapsed = () => {
    more();
    return (now += 1000);
  };
  const pace = { bytes: 60 * 1024, windowMs: 60_000, elapsed };
  return { host: served.host, pace, asked: () => asked, close: () => served.close() };
}
