import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { inspect } from 'node:util';

import { Agent } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findRustProgram } from '../../../tools/rust-programs.js';
import { hexOf, sha256 } from '../../lib/digest.ts';
import { accessKeys } from '../aws/keys.ts';
import { blobContract } from '../testing/blob-contract.ts';
import { noise, pushBlob } from '../testing/images.ts';
import { CANARY_KEYS, startS3Server } from '../testing/s3-server.ts';
import type { S3Server } from '../testing/s3-server.ts';
import { serve } from '../testing/served.ts';
import { bucketZips } from './bucket-zips.ts';
import { bucketPlace } from './place.ts';

const agent = new Agent({ connections: 4 });
afterAll(() => agent.close());

/** Without pauses between tries. */
const retry = { attempts: 3, wait: async () => {} };

function zipsAt(endpoint: string, { place = 's3://zips/of/functions', keys = CANARY_KEYS, timeoutMs = 10_000 } = {}) {
  return bucketZips({
    place: bucketPlace(place, { AWS_ENDPOINT_URL: endpoint }),
    keys: async () => keys,
    agentFor: () => agent,
    retry,
    timeoutMs,
  });
}

const { path = '', missing } = findRustProgram('s3s-fs');
if (missing !== undefined) process.stderr.write(`${missing}\n`);

describe.runIf(missing === undefined)('s3s-fs', () => {
  blobContract('a bucket', async () => {
    const server = await startS3Server(path, ['zips']);
    return { registry: zipsAt(server.endpoint), close: () => server.close() };
  });

  let server: S3Server;
  beforeAll(async () => {
    server = await startS3Server(path, ['zips']);
  });
  afterAll(() => server.close());

  test('a zip is there for all repositories, and what lies in its place is never overwritten', async () => {
    const zips = zipsAt(server.endpoint);
    const digest = await pushBlob(zips, 'shop/one', noise(2000));
    expect(await zips.hasBlob('shop/other', digest)).toBe(2000);
    const file = server.fileOf('zips', `of/functions/sha256/${hexOf(digest)}.zip`);
    await writeFile(file, 'damaged');
    await expect(pushBlob(zips, 'shop/one', noise(2000))).rejects.toMatchObject({ code: 'registry.digest-mismatch' });
    const read = async () => buffer(await zips.readBlob('shop/one', digest));
    await expect(read()).rejects.toMatchObject({ code: 'registry.digest-mismatch' });
  });

  test.each([
    ['registry.unauthorized', { keys: { ...CANARY_KEYS, secretAccessKey: 'wrong' } }],
    ['registry.unauthorized', { keys: { ...CANARY_KEYS, accessKeyId: 'NOBODY' } }],
  ])('%s, and no key in it: %j', async (code, { keys }) => {
    const error: unknown = await pushBlob(zipsAt(server.endpoint, { keys }), 'shop/one', noise(10)).catch((e) => e);
    expect(error).toMatchObject({ code });
    expect(inspect(error, { depth: 10, showHidden: true })).not.toMatch(keys.secretAccessKey);
  });
});

describe('a storage that misbehaves', () => {
  const bytes = noise(5000);
  const digest = sha256(bytes);
  /** What one answer after the other is, and how often it was asked for one. */
  async function standIn<T>(answer: RequestListener, ask: (endpoint: string) => Promise<T>) {
    let asked = 0;
    const served = await serve(() => (request, response) => {
      asked++;
      request.resume();
      request.on('end', () => answer(request, response));
    });
    try {
      return { outcome: await ask(`http://${served.host}`).catch((error: unknown) => error), asked: () => asked };
    } finally {
      await served.close();
    }
  }

  test.each([
    [403, 'AccessDenied', 'registry.denied', 1],
    [403, 'ExpiredToken', 'registry.unauthorized', 1],
    [404, 'NoSuchBucket', 'registry.not-found', 1],
    [400, 'XAmzContentSHA256Mismatch', 'registry.digest-mismatch', 1],
    [400, 'AuthorizationHeaderMalformed', 'registry.failed', 1],
    [301, 'PermanentRedirect', 'registry.failed', 1],
    [503, 'SlowDown', 'registry.throttled', 3],
    [500, 'InternalError', 'registry.unavailable', 3],
    [409, 'ConditionalRequestConflict', 'registry.failed', 3],
    [413, 'EntityTooLarge', 'registry.too-large', 1],
  ])('%i %s to who writes is %s after %i tries', async (status, said, code, tries) => {
    const body = `<Error><Code>${said}</Code><Message>x</Message></Error>`;
    const { outcome, asked } = await standIn(
      ({ method }, response) => response.writeHead(method === 'HEAD' ? 404 : status).end(body),
      (endpoint) => pushBlob(zipsAt(endpoint), 'a/f', bytes),
    );
    expect(outcome).toMatchObject({ code });
    expect(asked()).toBe(tries + 1); // it looked first
  });

  test('one without preconditions gets the zip all the same', async () => {
    const { outcome, asked } = await standIn(
      ({ method, headers }, response) =>
        response.writeHead(method === 'HEAD' ? 404 : headers['if-none-match'] === undefined ? 200 : 501).end(),
      (endpoint) => pushBlob(zipsAt(endpoint), 'a/f', bytes),
    );
    expect([outcome, asked()]).toEqual([digest, 3]);
  });

  test('one that is silent, breaks off, or sends other bytes gives a typed error in bounded time', async () => {
    const read = async (endpoint: string, timeoutMs = 10_000) =>
      buffer(await zipsAt(endpoint, { timeoutMs }).readBlob('a/f', digest));
    const silent = await standIn(
      () => {},
      (endpoint) => read(endpoint, 50),
    );
    expect(silent.outcome).toMatchObject({ code: 'registry.unreachable' });
    const short = await standIn((_, response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 100), () => response.destroy());
    }, read);
    expect(short.outcome).toMatchObject({ code: 'registry.unreachable' });
    const other = await standIn((_, response) => response.end(bytes.subarray(1)), read);
    expect(other.outcome).toMatchObject({ code: 'registry.digest-mismatch' });
  });

  test('nobody there is said without the address of a password', async () => {
    const free = createServer();
    await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
    const { port } = free.address() as { port: number };
    await new Promise((resolve) => free.close(resolve));
    await expect(zipsAt(`http://127.0.0.1:${port}`).hasBlob('a/f', digest)).rejects.toMatchObject({
      code: 'registry.unreachable',
    });
  });
});

test('a place is spoken to by its own name, by path where that is not possible, and only safely', () => {
  const at = (text: string, environment: NodeJS.ProcessEnv = {}) => bucketPlace(text, environment).base.href;
  expect(at('s3://zips', { AWS_REGION: 'eu-central-1' })).toBe('https://zips.s3.eu-central-1.amazonaws.com/');
  expect(at('s3://zips/a/b/')).toBe('https://zips.s3.us-east-1.amazonaws.com/a/b/');
  expect(at('s3://my.zips/a')).toBe('https://s3.us-east-1.amazonaws.com/my.zips/a/');
  expect(at('s3://zips', { AWS_ENDPOINT_URL: 'https://s3.example.org/x' })).toBe('https://s3.example.org/x/zips/');
  expect(at('s3://zips', { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9000' })).toBe('http://127.0.0.1:9000/zips/');
  const refused = { code: 'registry.name-invalid' };
  for (const text of [
    'zips',
    's3://',
    's3://Zips',
    's3://zips/../other',
    's3://zips/a b',
    's3://u:p@zips',
    'https://zips',
  ])
    expect(() => at(text)).toThrow(expect.objectContaining(refused));
  for (const endpoint of ['http://s3.example.org', 'ftp://127.0.0.1', 'https://user:canary@s3.example.org', 'no'])
    try {
      at('s3://zips', { AWS_ENDPOINT_URL: endpoint });
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject(refused);
      expect(inspect(error)).not.toContain('canary');
    }
});

test('keys come from the usual variables or from a secret, anew each time, and no error shows what was there', async () => {
  const secrets: Record<string, string> = {};
  const wanted = { of: 'the bucket', variable: 'BUCKET_KEYS' };
  const keysOf = (environment: NodeJS.ProcessEnv, BUCKET_KEYS?: string) =>
    accessKeys({ ...environment, BUCKET_KEYS }, wanted, async (name) => secrets[name] ?? '')();
  const pair = { AWS_ACCESS_KEY_ID: 'A', AWS_SECRET_ACCESS_KEY: 'canary' };
  expect(await keysOf(pair)).toEqual({ accessKeyId: 'A', secretAccessKey: 'canary' });
  expect(await keysOf({ ...pair, AWS_SESSION_TOKEN: 't' })).toMatchObject({ sessionToken: 't' });
  secrets['file:/s3'] = '{"AccessKeyId":"B","SecretAccessKey":"canary","SessionToken":"t"}';
  expect(await keysOf(pair, 'file:/s3')).toEqual({ accessKeyId: 'B', secretAccessKey: 'canary', sessionToken: 't' });
  for (const text of ['canary', '{"AccessKeyId":"canary"}', '["canary"]']) {
    secrets['file:/s3'] = text;
    const error: unknown = await keysOf(pair, 'file:/s3').catch((e) => e);
    expect(error).toMatchObject({ code: 'registry.credentials' });
    expect(inspect(error, { depth: 10 })).not.toContain('canary');
  }
  await expect(keysOf({})).rejects.toMatchObject({ code: 'registry.credentials' });
});
