import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { createRegistryClient } from '../client/client.ts';
import { isImmutableTag, isReservedTag } from '../image-names.ts';
import { pushImage, testImage, testIndex } from '../testing/images.ts';
import { serve, type Served } from '../testing/served.ts';
import { talkTo } from '../testing/talk.ts';
import { createEmbeddedRegistry, type EmbeddedRegistry } from './embedded.ts';

let directory: string;
let embedded: EmbeddedRegistry;
let served: Served;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-own-'));
  served = await serve(async (host) => {
    embedded = await createEmbeddedRegistry({ directory, host, immutable: isImmutableTag, reserved: isReservedTag });
    return (request, response) => void embedded.handle(request, response);
  });
});
afterAll(async () => {
  await served.close();
  await rm(directory, { recursive: true });
});

/** A git tag, a branch, a commit and an environment, as Towpath names them. */
const NAMES = ['v1.0.0', 'main-1a2b3c4d', '4f2a91c0d3e5', 'env-prod'];

async function named() {
  const talk = talkTo(served.host);
  const own = embedded.registry();
  const image = await testImage([{ own: talk.repository }]);
  await pushImage(own, talk.repository, image);
  for (const tag of NAMES) await own.tag(talk.repository, image.digest, tag);
  return { talk, own, image, at: `/v2/${talk.repository}` };
}

test('a tag that Towpath gave is moved by nobody else, and the refusal says whose it is', async () => {
  const { talk, own, image } = await named();
  const other = await talk.image('mine');
  for (const tag of NAMES) {
    expect(await talk.put(tag, other)).toMatchObject({ status: 409, code: 'DENIED' });
    expect((await own.manifest(talk.repository, tag))?.digest).toBe(image.digest);
  }
  expect((await talk.put('v1.0.0', other)).bytes.toString()).toContain('Towpath itself gave');
  expect((await talk.put('main-1a2b3c4d', image)).status).toBe(201); // it says what is so already
  expect(await own.tag(talk.repository, other.digest, 'main-1a2b3c4d')).toBe('tagged');
  expect(await own.tag(talk.repository, other.digest, 'env-prod')).toBe('tagged');
});

test('what Towpath has named is deleted by nobody else: no tag, no manifest, no part of one', async () => {
  const { talk, own, image, at } = await named();
  const child = await testImage([{ child: talk.repository }]);
  await pushImage(own, talk.repository, child);
  const index = testIndex([child]);
  await own.putManifest(talk.repository, 'v2.0.0', index);
  const [layer = Buffer.alloc(0)] = child.layers;
  for (const path of [
    ...[...NAMES, image.digest, index.digest, child.digest].map((reference) => `manifests/${reference}`),
    ...[image.config, layer].map((blob) => `blobs/${sha256(blob)}`),
  ]) {
    const refused = await talk.ask('DELETE', `${at}/${path}`);
    expect([path, refused.status, refused.code]).toEqual([path, 405, 'DENIED']);
    expect((await talk.ask('HEAD', `${at}/${path}`)).status).toBe(200);
  }
  await own.deleteManifest(talk.repository, 'v2.0.0');
  expect((await talk.ask('DELETE', `${at}/manifests/${child.digest}`)).status).toBe(202);
});

test('names of environments are not given from outside, also when they are free', async () => {
  const { talk } = await named();
  const other = await talk.image('mine');
  for (const tag of ['env-new', 'keep-prod-12']) {
    expect(await talk.put(tag, other)).toMatchObject({ status: 409, code: 'DENIED' });
  }
  const many = await talk.put(`${other.digest}?tag=fine&tag=env-new`, other);
  expect(many).toMatchObject({ status: 409, code: 'DENIED' });
  expect((await talk.ask('HEAD', `/v2/${talk.repository}/manifests/fine`)).status).toBe(404);
});

test('who pushes from outside moves and deletes its own tags, until Towpath gives the same image that name', async () => {
  const talk = talkTo(served.host);
  const [one, two] = [await talk.image('latest'), await talk.image('sha256-x')];
  expect((await talk.put('latest', two)).status).toBe(201);
  expect((await talk.put('release-7', one)).status).toBe(201);
  expect(await talk.put('release-7', two)).toMatchObject({ status: 409, code: 'DENIED' }); // reads like a git tag
  expect((await talk.ask('DELETE', `/v2/${talk.repository}/manifests/release-7`)).status).toBe(202);
  expect(await embedded.registry().tag(talk.repository, two.digest, 'latest')).toBe('unchanged');
  expect(await talk.put('latest', one)).toMatchObject({ status: 409, code: 'DENIED' });
});

test('a client of ours tells such a refusal from others', async () => {
  const { talk, own, image } = await named();
  const client = createRegistryClient({ host: served.host });
  const other = await testImage([{ other: talk.repository }]);
  await pushImage(own, talk.repository, other);
  await expect(client.tag(talk.repository, other.digest, 'v1.0.0')).rejects.toMatchObject({
    code: 'registry.tag-immutable',
  });
  await expect(client.deleteManifest(talk.repository, image.digest)).rejects.toMatchObject({
    code: 'registry.still-needed',
  });
});
