import { afterEach, beforeEach, expect, test } from 'vitest';

import { noSmallDisk, type SmallDisk, smallDisk } from '../../lib/testing/small-disk.ts';
import { sha256 } from '../../lib/digest.ts';
import { noise } from '../testing/images.ts';
import { serve, type Served } from '../testing/served.ts';
import { talkTo, type Talk, withQuery } from '../testing/talk.ts';
import { createEmbeddedRegistry, type EmbeddedRegistry } from './embedded.ts';

let disk: SmallDisk;
let served: Served;
let talk: Talk;
let embedded: EmbeddedRegistry;
const errors: unknown[] = [];

beforeEach(async () => {
  if (noSmallDisk !== null) return;
  disk = smallDisk(8);
  errors.length = 0;
  served = await serve(async (host) => {
    embedded = await createEmbeddedRegistry({
      directory: disk.directory,
      host,
      onError: (error) => errors.push(error),
    });
    return (incoming, response) => void embedded.handle(incoming, response);
  });
  talk = talkTo(served.host);
});
afterEach(async () => {
  if (noSmallDisk !== null) return;
  await served.close();
  disk.remove();
});

test.skipIf(noSmallDisk !== null)(
  'a full disk refuses what is new, keeps what is there, and takes the rest when there is space',
  async () => {
    const image = await talk.image('kept');
    const bytes = noise(2_000_000, 'large');
    const place = await talk.begin();
    disk.fill(500_000);
    const refused = await talk.ask('PATCH', place, bytes, { 'content-type': 'application/octet-stream' });
    expect(refused).toMatchObject({ status: 507, code: 'UNKNOWN' });
    expect(refused.bytes.toString()).toContain('No space is left');
    await expect.poll(() => errors.length).toBe(1);
    expect((await talk.ask('GET', `/v2/${talk.repository}/manifests/kept`)).bytes.equals(image.bytes)).toBe(true);
    disk.fill(0);
    expect((await talk.put('new', image)).status).toBe(507);
    expect((await talk.ask('GET', `/v2/${talk.repository}/tags/list`)).bytes.toString()).not.toContain('"new"');

    disk.free();
    const stands = Number(((await talk.ask('GET', place)).headers['range'] ?? '0-0').split('-')[1]) + 1;
    const rest = stands === 1 ? bytes : bytes.subarray(stands);
    const taken = await talk.ask('PUT', withQuery(place, `digest=${sha256(bytes)}`), rest);
    expect(taken.status).toBe(201);
    expect((await talk.ask('GET', `/v2/${talk.repository}/blobs/${sha256(bytes)}`)).bytes.equals(bytes)).toBe(true);
    expect((await talk.put('new', image)).status).toBe(201);
  },
);

test.skipIf(noSmallDisk !== null)(
  'a layer of this very server that finds no space is told as a full disk, and is written later',
  async () => {
    const registry = embedded.registry();
    const bytes = noise(3_000_000, 'own');
    disk.fill(1_000_000);
    const blob = { digest: sha256(bytes), size: bytes.length, open: () => bytes };
    await expect(registry.writeBlob('shop/web', blob)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await registry.hasBlob('shop/web', blob.digest)).toBeNull();
    disk.free();
    await registry.writeBlob('shop/web', blob);
    expect(await registry.hasBlob('shop/web', blob.digest)).toBe(bytes.length);
  },
);
