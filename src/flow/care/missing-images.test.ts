import { pino } from 'pino';
import { expect, test } from 'vitest';

import { memoryImageStore } from '../../artifact/testing/memory-image-store.ts';
import { EMPTY_CONFIG, writeFunctionManifest } from '../../artifact/zip/function-manifest.ts';
import { sha256 } from '../../lib/digest.ts';
import type { Digest } from '../../lib/digest.ts';
import { missingImages } from '../../environment/missing-image-store.ts';
import { RegistryError } from '../../registry/error.ts';
import { OCI_MANIFEST } from '../../registry/manifest.ts';
import type { Registry } from '../../registry/registry.ts';
import { isWhole } from '../../registry/whole-image.ts';
import { pushBlob, pushImage, testImage } from '../../registry/testing/images.ts';
import type { Store } from '../../store/database.ts';
import { findMissingImages } from './missing-images.ts';
import { runInTurn, world } from './testing/run-in-turn.ts';

const log = pino({ level: 'silent' });
const repository = 'shop/web';
const house = { bucket: null, log, registryAt: () => expect.unreachable() };

test('an image that runs or can be rolled back to and is gone is told once, and once more when it is back', async () => {
  const { store, registry } = await world({ keep: 1 });
  const digests = await runInTurn(store, registry, ['a', 'b', 'c']);
  const look = () => findMissingImages({ ...house, store, registry });
  await look();
  expect(await told(store)).toEqual([]);
  const [a, b, c] = await Promise.all(digests.map((digest) => taken(registry, digest)));
  await look();
  await look();
  const gone = [
    { kind: 'image.missing', release: 2 },
    { kind: 'image.missing', release: 3 },
  ];
  expect(await told(store)).toEqual(gone);
  expect((await missingImages(store.db, ['e'])).get('e')).toMatchObject([
    { release: 3, repository, digest: digests[2] },
    { release: 2, repository, digest: digests[1] },
  ]);
  for (const bring of [a, b, c]) await bring?.();
  await look();
  expect((await told(store)).slice(2)).toMatchObject([{ kind: 'image.found' }, { kind: 'image.found' }]);
  expect((await missingImages(store.db, ['e'])).size).toBe(0);
});

test('a registry that does not answer says nothing about its images', async () => {
  const { store, registry } = await world({ keep: 1 });
  const [digest] = await runInTurn(store, registry, ['a']);
  const away: Registry = {
    ...registry,
    manifest: async () => {
      throw new RegistryError({ code: 'registry.unavailable', what: 'It is away.', fix: 'Wait.' });
    },
  };
  await findMissingImages({ ...house, store, registry: away });
  expect(await told(store)).toEqual([]);
  await taken(registry, digest ?? expect.unreachable());
  await findMissingImages({ ...house, store, registry });
  await findMissingImages({ ...house, store, registry: away });
  expect(await told(store)).toEqual([{ kind: 'image.missing', release: 1 }]);
});

test('an image without one of its layers is not whole', async () => {
  const { registry } = await world({ keep: 1 });
  const image = await testImage([{ whole: '1' }]);
  await pushImage(registry, repository, image);
  expect(await isWhole(registry, repository, image.digest)).toBe(true);
  expect(await isWhole({ ...registry, hasBlob: async () => null }, repository, image.digest)).toBe(false);
  expect(await isWhole(registry, 'shop/other', image.digest)).toBe(false);
});

/** @returns what brings it back */
test('a function whose zips rest in a bucket is whole where they all are', async () => {
  const { registry } = await world({ keep: 1 });
  const zips = [{ title: 'functions.zip', digest: sha256('zip'), size: 3 }];
  const bytes = writeFunctionManifest({ node: '22', platform: 'linux/amd64', rest: 'bucket', zips });
  await pushBlob(registry, repository, EMPTY_CONFIG);
  const digest = await registry.putManifest(repository, sha256(bytes), { mediaType: OCI_MANIFEST, bytes });
  const bucket = memoryImageStore();
  expect(await isWhole(registry, repository, digest, bucket)).toBe(false);
  await pushBlob(bucket, repository, Buffer.from('zip'));
  expect(await isWhole(registry, repository, digest, bucket)).toBe(true);
  expect(await isWhole(registry, repository, digest)).toBe(false);
});

async function taken(registry: Registry, digest: Digest): Promise<() => Promise<unknown>> {
  const manifest = (await registry.manifest(repository, digest)) ?? expect.unreachable();
  await registry.deleteManifest(repository, digest);
  return () => registry.putManifest(repository, digest, manifest);
}

async function told({ db }: Store) {
  const rows = await db.selectFrom('event').select(['kind', 'data']).orderBy('id').execute();
  return rows.map(({ kind, data }) => ({ kind, release: (data as { release: number }).release }));
}
