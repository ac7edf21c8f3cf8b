import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../manifest.ts';
import { noise, pushBlob, pushImage, testImage, testReferrer } from '../testing/images.ts';
import { serve } from '../testing/served.ts';
import type { Served } from '../testing/served.ts';
import { createEmbeddedRegistry } from './embedded.ts';
import type { EmbeddedRegistry } from './embedded.ts';
import { endHashing } from './running-hash.ts';

let directory: string;
let embedded: EmbeddedRegistry;
let served: Served;
const errors: unknown[] = [];
let mayPull = async (_repository: string) => true;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-embedded-'));
  served = await serve(async (host) => {
    embedded = await createEmbeddedRegistry({
      directory,
      host,
      immutable: (tag, repository) => tag.startsWith('v') && repository !== 'loose/app',
      onError: (error) => errors.push(error),
    });
    return (incoming, response) => void embedded.handle(incoming, response, async (name) => mayPull(name));
  });
});
afterAll(async () => {
  await served.close();
  await rm(directory, { recursive: true });
});

type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

async function ask(method: Method, path: string, body?: Buffer, headers: Record<string, string> = {}) {
  const response = await request(`http://${served.host}${path}`, { method, body: body ?? null, headers });
  const bytes = Buffer.from(await response.body.arrayBuffer());
  const code = /"code":"([A-Z_]+)"/.exec(bytes.toString('latin1'))?.[1] ?? null;
  return { status: response.statusCode, headers: response.headers as Record<string, string>, bytes, code };
}

test('it says that it is a registry', async () => {
  const answer = await ask('GET', '/v2/');
  expect(answer).toMatchObject({ status: 200, headers: { 'docker-distribution-api-version': 'registry/2.0' } });
  expect((await ask('GET', '/v2')).status).toBe(200);
});

test('an upload in parts is taken in order only, and says where it stands', async () => {
  const bytes = noise(1000, 'parts');
  const begun = await ask('POST', '/v2/parts/app/blobs/uploads/');
  expect(begun).toMatchObject({ status: 202, headers: { range: '0-0' } });
  const place = begun.headers['location'] ?? '';
  const first = await ask('PATCH', place, bytes.subarray(0, 400), { 'content-range': '0-399' });
  expect(first).toMatchObject({ status: 202, headers: { range: '0-399' } });
  const early = await ask('PATCH', place, bytes.subarray(700), { 'content-range': '700-999' });
  expect(early).toMatchObject({ status: 416, headers: { range: '0-399' } });
  expect(await ask('GET', place)).toMatchObject({ status: 204, headers: { range: '0-399' } });
  expect((await ask('PATCH', place, bytes.subarray(400, 700), { 'content-range': '400-699' })).status).toBe(202);
  const digest = sha256(bytes);
  const done = await ask('PUT', `${place}?digest=${digest}`, bytes.subarray(700), { 'content-range': '700-999' });
  expect(done).toMatchObject({ status: 201, headers: { location: `/v2/parts/app/blobs/${digest}` } });
  expect(await ask('GET', place)).toMatchObject({ status: 404, code: 'BLOB_UPLOAD_UNKNOWN' });
  expect((await ask('GET', `/v2/parts/app/blobs/${digest}`)).bytes.equals(bytes)).toBe(true);
});

test('a cancelled upload is gone, and one of another repository was never there', async () => {
  const place = (await ask('POST', '/v2/cancel/app/blobs/uploads/')).headers['location'] ?? '';
  expect((await ask('GET', place.replace('cancel/app', 'other/app'))).status).toBe(404);
  expect((await ask('PATCH', place.replace('cancel/app', 'other/app'), Buffer.from('x'))).status).toBe(404);
  expect((await ask('DELETE', place)).status).toBe(204);
  expect((await ask('DELETE', place)).status).toBe(404);
  expect((await ask('GET', '/v2/cancel/app/blobs/uploads/..%2f..%2f')).status).toBe(404);
});

test('a sender that hangs gives way to the next one, which goes on from what came', async () => {
  const bytes = noise(500_000, 'hangs');
  const place = (await ask('POST', '/v2/hangs/app/blobs/uploads/')).headers['location'] ?? '';
  async function* hanging(): AsyncGenerator<Buffer> {
    yield bytes.subarray(0, 200_000);
    await new Promise(() => {}); // the rest never comes
  }
  const headers = { 'content-length': `${bytes.length}` };
  const stale = request(`http://${served.host}${place}`, { method: 'PATCH', body: Readable.from(hanging()), headers });
  stale.catch(() => {});
  while ((await ask('GET', place)).headers['range'] !== '0-199999');
  const rest = await ask('PATCH', place, bytes.subarray(200_000), { 'content-range': '200000-499999' });
  expect(rest).toMatchObject({ status: 202, headers: { range: '0-499999' } });
  await expect(stale).rejects.toThrow();
  expect((await ask('PUT', `${place}?digest=${sha256(bytes)}`)).status).toBe(201);
});

test('an upload with the wrong digest leaves nothing', async () => {
  const wrong = `/v2/wrong/app/blobs/uploads/?digest=${sha256('right')}`;
  expect(await ask('POST', wrong, Buffer.from('wrong'))).toMatchObject({ status: 400, code: 'DIGEST_INVALID' });
  expect((await ask('HEAD', `/v2/wrong/app/blobs/${sha256('right')}`)).status).toBe(404);
  expect(await ask('POST', '/v2/wrong/app/blobs/uploads/?digest=md5:abc')).toMatchObject({ status: 400 });
  expect(await readdir(join(directory, 'uploads', 'wrong+app'))).toEqual([]);
});

test('content has sha512 digests where they are asked for, and sha256 ones everywhere else', async () => {
  const longDigest = (bytes: Buffer) => `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
  const blob = noise(100_000, 'long');
  const digest = longDigest(blob);
  const begun = await ask('POST', '/v2/long/app/blobs/uploads/?digest-algorithm=sha512');
  const place = begun.headers['location'] ?? '';
  expect((await ask('PATCH', place, blob.subarray(0, 60_000))).status).toBe(202);
  const done = await ask('PUT', `${place}?digest=${digest}`, blob.subarray(60_000));
  expect(done).toMatchObject({ status: 201, headers: { 'docker-content-digest': digest } });
  expect((await ask('GET', `/v2/long/app/blobs/${digest}`)).bytes.equals(blob)).toBe(true);
  expect((await ask('HEAD', `/v2/long/app/blobs/${sha256(blob)}`)).status).toBe(404);
  const other = `/v2/long/app/blobs/uploads/?digest=${longDigest(noise(9, 'other'))}`;
  expect(await ask('POST', other, blob)).toMatchObject({ status: 400, code: 'DIGEST_INVALID' });

  const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: blob.length };
  const image = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { ...layer, mediaType: 'text/plain' },
    layers: [layer],
  };
  const manifest = Buffer.from(JSON.stringify(image));
  const type = { 'content-type': OCI_MANIFEST };
  for (const [reference, answered] of [
    ['short', sha256(manifest)],
    [longDigest(manifest), longDigest(manifest)],
  ]) {
    const put = await ask('PUT', `/v2/long/app/manifests/${reference}`, manifest, type);
    expect(put).toMatchObject({ status: 201, headers: { 'docker-content-digest': answered } });
    const got = await ask('GET', `/v2/long/app/manifests/${reference}`);
    expect(got.headers['docker-content-digest']).toBe(answered);
    expect(got.bytes.equals(manifest)).toBe(true);
  }
});

test('an upload is whole though the thread that hashed it ended in its midst', async () => {
  const bytes = noise(3_000_000, 'thread');
  const place = (await ask('POST', '/v2/thread/app/blobs/uploads/')).headers['location'] ?? '';
  expect((await ask('PATCH', place, bytes.subarray(0, 2_000_000))).status).toBe(202);
  expect(await endHashing()).toBe(true);
  expect((await ask('PATCH', place, bytes.subarray(2_000_000))).status).toBe(202);
  expect((await ask('PUT', `${place}?digest=${sha256(bytes)}`)).status).toBe(201);
  expect((await ask('GET', `/v2/thread/app/blobs/${sha256(bytes)}`)).bytes.equals(bytes)).toBe(true);
  expect(errors.splice(0)).toEqual([]);
});

test('forgotten uploads are swept, those still added to are not', async () => {
  const place = (await ask('POST', '/v2/sweep/app/blobs/uploads/')).headers['location'] ?? '';
  await embedded.sweep(Date.now() - 3_600_000);
  expect((await ask('GET', place)).status).toBe(204);
  expect(await embedded.sweep(Date.now() + 3_600_000)).toBeGreaterThan(0);
  expect((await ask('GET', place)).status).toBe(404);
});

test('a range of a blob is served alone', async () => {
  const bytes = noise(1000, 'range');
  const url = `/v2/range/app/blobs/${await pushBlob(embedded.registry(), 'range/app', bytes)}`;
  const range = async (text: string) => ask('GET', url, undefined, { range: text });
  expect(await range('bytes=100-199')).toMatchObject({
    status: 206,
    headers: { 'content-range': 'bytes 100-199/1000' },
  });
  expect((await range('bytes=100-199')).bytes.equals(bytes.subarray(100, 200))).toBe(true);
  expect((await range('bytes=990-')).bytes.equals(bytes.subarray(990))).toBe(true);
  expect((await range('bytes=-10')).bytes.equals(bytes.subarray(990))).toBe(true);
  expect((await range('bytes=1000-')).status).toBe(416);
  expect(await range('bytes=0-1,5-6')).toMatchObject({ status: 200 });
  expect((await ask('HEAD', url)).headers['content-length']).toBe('1000');
  expect((await ask('GET', url, undefined, { 'if-none-match': `"${sha256(bytes)}"` })).status).toBe(304);
});

test('tags and repositories come in pages, in order', async () => {
  const image = await testImage([{ hello: 'pages' }]);
  await pushImage(embedded.registry(), 'pages/app', image);
  const long = 'X'.repeat(128);
  for (const tag of ['c', 'a', 'B', long]) await embedded.registry().tag('pages/app', image.digest, tag);
  const first = await ask('GET', '/v2/pages/app/tags/list?n=2');
  expect(JSON.parse(first.bytes.toString())).toEqual({ name: 'pages/app', tags: ['a', 'B'] });
  const next = /<([^>]+)>; rel="next"/.exec(first.headers['link'] ?? '')?.[1] ?? '';
  const second = await ask('GET', next);
  expect(JSON.parse(second.bytes.toString())).toEqual({ name: 'pages/app', tags: ['c', long] });
  expect(second.headers['link']).toBeUndefined();
  expect(await ask('GET', '/v2/nowhere/app/tags/list')).toMatchObject({ status: 404, code: 'NAME_UNKNOWN' });
  const catalog = await ask('GET', '/v2/_catalog?n=1000');
  expect((JSON.parse(catalog.bytes.toString()) as { repositories: string[] }).repositories).toContain('pages/app');
});

test('a pushed referrer is acknowledged and found by its type', async () => {
  const image = await testImage([{ hello: 'referred' }]);
  await pushImage(embedded.registry(), 'refer/app', image);
  await pushBlob(embedded.registry(), 'refer/app', Buffer.from('{}'));
  const { bytes, mediaType } = testReferrer(image, 'application/vnd.towpath.test', 'x');
  const url = `/v2/refer/app/manifests/${sha256(bytes)}`;
  const put = await ask('PUT', url, bytes, { 'content-type': mediaType });
  expect(put).toMatchObject({ status: 201, headers: { 'oci-subject': image.digest } });
  const listed = await ask('GET', `/v2/refer/app/referrers/${image.digest}?artifactType=application/vnd.none`);
  expect(listed).toMatchObject({
    status: 200,
    headers: { 'content-type': OCI_INDEX, 'oci-filters-applied': 'artifactType' },
  });
  expect(JSON.parse(listed.bytes.toString())).toMatchObject({ schemaVersion: 2, manifests: [] });
});

test('a tag that may not move is kept by its first digest, whoever comes second', async () => {
  const registry = embedded.registry();
  const other = (await createEmbeddedRegistry({ directory, host: 'x', immutable: () => true })).registry();
  const one = await testImage([{ hello: 'first' }]);
  const two = await testImage([{ hello: 'second' }]);
  for (const image of [one, two]) await pushImage(registry, 'fixed/app', image);
  // Two stores on one folder, as two processes have them, at the same moment.
  const raced = await Promise.allSettled([
    registry.tag('fixed/app', one.digest, 'v1.0.0'),
    other.tag('fixed/app', two.digest, 'v1.0.0'),
  ]);
  expect(raced.map(({ status }) => status).sort((a, b) => a.localeCompare(b))).toEqual(['fulfilled', 'rejected']);
  const winner = (await registry.manifest('fixed/app', 'v1.0.0'))?.digest === one.digest ? one : two;
  const loser = winner === one ? two : one;
  expect(await registry.tag('fixed/app', winner.digest, 'v1.0.0')).toBe('unchanged');
  const put = await ask('PUT', '/v2/fixed/app/manifests/v1.0.0', loser.bytes, { 'content-type': loser.mediaType });
  expect(put).toMatchObject({ status: 409, code: 'DENIED' });
  expect((await registry.manifest('fixed/app', 'v1.0.0'))?.digest).toBe(winner.digest);
});

test('a mount from a repository that the asker may not read is an upload like any other', async () => {
  const digest = await pushBlob(embedded.registry(), 'secret/app', Buffer.from('secret'));
  const asked: string[] = [];
  mayPull = async (repository) => {
    asked.push(repository);
    return repository !== 'secret/app';
  };
  try {
    const mount = `/v2/open/app/blobs/uploads/?mount=${digest}&from=secret/app`;
    expect((await ask('POST', mount)).status).toBe(202);
    expect((await ask('HEAD', `/v2/open/app/blobs/${digest}`)).status).toBe(404);
    expect(asked).toEqual(['secret/app']);
  } finally {
    mayPull = async () => true;
  }
});

test('damage on the disk is told and never served as a manifest', async () => {
  const registry = embedded.registry();
  const image = await testImage([{ hello: 'damaged' }]);
  await pushImage(registry, 'damaged/app', image, 'main');
  const hex = image.digest.slice(7);
  await writeFile(join(directory, 'blobs', 'sha256', hex.slice(0, 2), hex), 'rotten');
  errors.length = 0;
  expect(await ask('GET', '/v2/damaged/app/manifests/main')).toMatchObject({ status: 500 });
  expect(errors).toMatchObject([{ code: 'registry.digest-mismatch' }]);
  await expect(registry.manifest('damaged/app', 'main')).rejects.toMatchObject({ code: 'registry.digest-mismatch' });
  await pushImage(registry, 'damaged/app', image); // the next push heals it
  expect((await registry.manifest('damaged/app', 'main'))?.digest).toBe(image.digest);
});

test('what is not of the distribution API is refused in its own words', async () => {
  for (const [method, path, status] of [
    ['GET', '/v2/../../etc/passwd', 404],
    ['GET', '/v2/a/manifests/%zz', 404],
    ['GET', '/v2/..%2f..%2fa/manifests/v1', 400],
    ['GET', '/v2/UPPER/manifests/v1', 400],
    ['GET', '/v2/a/manifests/..%2f..%2fx', 404],
    ['PUT', '/v2/a/tags/list', 405],
    ['POST', '/v2/a/manifests/v1', 405],
    ['GET', '/v2/a/blobs/sha256:xyz', 400],
    ['GET', '/v2/pages/app/tags/list?n=-1', 400],
    ['PUT', '/v2/a/manifests/v1', 400],
  ] as const) {
    expect([path, (await ask(method, path)).status]).toEqual([path, status]);
  }
});
