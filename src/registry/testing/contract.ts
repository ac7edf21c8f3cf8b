import { buffer } from 'node:stream/consumers';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import type { Registry } from '../registry.ts';
import { blobContract } from './blob-contract.ts';
import { noise, pushBlob, pushImage, testImage, testIndex, testReferrer } from './images.ts';

export interface ContractOptions {
  /** False for a registry that cannot delete a tag alone (distribution 2.8). */
  readonly deletesTags: boolean;
}

/** What every registry must do for Towpath. Each implementation of `Registry` runs it against a real store. */
export function registryContract(
  name: string,
  open: () => Promise<{ registry: Registry; close: () => Promise<void> }>,
  { deletesTags }: ContractOptions = { deletesTags: true },
): void {
  blobContract(name, open);
  describe(name, () => {
    let registry: Registry;
    let close: () => Promise<void>;
    let count = 0;
    const fresh = () => `contract/service-${process.pid}-${++count}`;

    beforeAll(async () => ({ registry, close } = await open()));
    afterAll(async () => close());

    test('an image comes back by tag and by digest, byte for byte', async () => {
      const repository = fresh();
      const image = await testImage([{ hello: 'one' }, { more: 'two' }]);
      expect(await pushImage(registry, repository, image, 'v1')).toBe(image.digest);
      for (const reference of ['v1', image.digest]) {
        expect(await registry.manifest(repository, reference)).toEqual({
          digest: image.digest,
          mediaType: image.mediaType,
          bytes: image.bytes,
        });
      }
      const [layer = Buffer.alloc(0)] = image.layers;
      expect(await buffer(await registry.readBlob(repository, sha256(layer)))).toEqual(layer);
    });

    test('an index is kept whole and retagged as it is', async () => {
      const repository = fresh();
      const images = [await testImage([{ hello: 'amd64' }]), await testImage([{ hello: 'arm64' }])];
      for (const image of images) await pushImage(registry, repository, image);
      const index = testIndex(images);
      await registry.putManifest(repository, index.digest, index);
      await registry.tag(repository, index.digest, 'v1.0.0');
      expect(await registry.manifest(repository, 'v1.0.0')).toEqual(index);
    });

    test('a tag moves to another digest, and stays when it names the digest already', async () => {
      const repository = fresh();
      const one = await testImage([{ hello: 'one' }]);
      const two = await testImage([{ hello: 'two' }]);
      await pushImage(registry, repository, one);
      await pushImage(registry, repository, two);
      expect(await registry.tag(repository, one.digest, 'main')).toBe('tagged');
      expect(await registry.tag(repository, one.digest, 'main')).toBe('unchanged');
      expect(await registry.tag(repository, two.digest, 'main')).toBe('tagged');
      expect((await registry.manifest(repository, 'main'))?.digest).toBe(two.digest);
      expect(await registry.tag(repository, two.digest, 'Main')).toBe('tagged');
      expect((await registry.tags(repository)).sort()).toEqual(['Main', 'main']);
    });

    test('a tag cannot name what is not there', async () => {
      const repository = fresh();
      const image = await testImage([{ hello: 'lost' }]);
      await expect(registry.tag(repository, image.digest, 'v1')).rejects.toMatchObject({ code: 'registry.not-found' });
      expect(await registry.tags(repository)).toEqual([]);
    });

    test('what is not there is null, an empty list or a typed error', async () => {
      const repository = fresh();
      const digest = sha256('nothing');
      expect(await registry.manifest(repository, 'none')).toBeNull();
      expect(await registry.manifest(repository, digest)).toBeNull();
      expect(await registry.hasBlob(repository, digest)).toBeNull();
      expect(await registry.tags(repository)).toEqual([]);
      expect(await registry.referrers(repository, digest)).toEqual([]);
      await expect(registry.readBlob(repository, digest)).rejects.toMatchObject({
        code: /^registry\.(not-found|content-missing)$/,
      });
    });

    test('a manifest whose blobs are missing is refused and leaves nothing', async () => {
      const repository = fresh();
      const image = await testImage([{ hello: 'half' }]);
      await pushBlob(registry, repository, image.config);
      await expect(registry.putManifest(repository, 'v1', image)).rejects.toMatchObject({
        code: 'registry.content-missing',
      });
      expect(await registry.manifest(repository, 'v1')).toBeNull();
    });

    test('a manifest that is not one is refused', async () => {
      const repository = fresh();
      const image = await testImage([{ hello: 'x' }]);
      for (const bytes of [Buffer.from('no JSON'), Buffer.from('{}'), image.bytes.subarray(1)]) {
        await expect(
          registry.putManifest(repository, 'v1', { mediaType: image.mediaType, bytes }),
        ).rejects.toMatchObject({
          code: 'registry.manifest-invalid',
        });
      }
      await pushImage(registry, repository, image);
      await expect(registry.putManifest(repository, sha256('other'), image)).rejects.toMatchObject({
        code: 'registry.digest-mismatch',
      });
    });

    test('a blob of another repository is mounted', async () => {
      const [from, to] = [fresh(), fresh()];
      const bytes = noise(4000, 'mounted');
      const digest = await pushBlob(registry, from, bytes);
      expect(await registry.mountBlob(to, digest, from)).toBe(true);
      expect(await registry.hasBlob(to, digest)).toBe(4000);
      expect(await registry.mountBlob(to, sha256('nowhere'), from)).toBe(false);
    });

    test('referrers of an image are listed by type, before and after the image itself came', async () => {
      const repository = fresh();
      const image = await testImage([{ hello: 'subject' }]);
      await pushBlob(registry, repository, Buffer.from('{}'));
      const put = async (type: string, note: string) => {
        const referrer = testReferrer(image, type, note);
        return registry.putManifest(repository, sha256(referrer.bytes), referrer);
      };
      const first = await put('application/vnd.towpath.test', 'one');
      await pushImage(registry, repository, image);
      await Promise.all([put('application/vnd.towpath.test', 'two'), put('application/vnd.towpath.other', 'three')]);
      await put('application/vnd.towpath.test', 'one'); // twice is the same as once
      expect(await registry.referrers(repository, image.digest)).toHaveLength(3);
      const tests = await registry.referrers(repository, image.digest, 'application/vnd.towpath.test');
      expect(new Set(tests.map(({ annotations }) => annotations?.['note']))).toEqual(new Set(['one', 'two']));
      await registry.deleteManifest(repository, first);
      expect(await registry.referrers(repository, image.digest)).toHaveLength(2);
    });

    test('a deleted manifest takes its tags along; deleting what is gone is no error', async () => {
      const repository = fresh();
      const image = await testImage([{ hello: 'gone' }]);
      await pushImage(registry, repository, image, 'a');
      await registry.tag(repository, image.digest, 'b');
      await registry.deleteManifest(repository, image.digest);
      await registry.deleteManifest(repository, image.digest);
      expect(await registry.manifest(repository, 'a')).toBeNull();
      expect(await registry.manifest(repository, 'b')).toBeNull();
      expect(await registry.manifest(repository, image.digest)).toBeNull();
    });

    test('a deleted tag leaves the manifest and its other names', async () => {
      const repository = fresh();
      const image = await testImage([{ hello: 'named' }]);
      await pushImage(registry, repository, image, 'a');
      await registry.tag(repository, image.digest, 'b');
      const deletion = registry.deleteManifest(repository, 'a');
      if (!deletesTags) return expect(deletion).rejects.toMatchObject({ code: 'registry.unsupported' });
      await deletion;
      expect(await registry.tags(repository)).toEqual(['b']);
      expect((await registry.manifest(repository, image.digest))?.digest).toBe(image.digest);
    });

    test('hostile names are refused before anything happens', async () => {
      const image = await testImage([{ hello: 'x' }]);
      for (const repository of [
        '../up',
        'a/../b',
        'UPPER',
        'a//b',
        '/a',
        'a/',
        '',
        'a b',
        'a?x=1',
        'a%2fb',
        '_tags',
        'a/_blobs',
      ]) {
        const refused = { code: 'registry.name-invalid' };
        await expect(registry.manifest(repository, 'v1')).rejects.toMatchObject(refused);
        await expect(registry.tags(repository)).rejects.toMatchObject(refused);
        await expect(pushBlob(registry, repository, image.config)).rejects.toMatchObject(refused);
      }
      for (const tag of ['../up', 'a/b', '', '.hidden', '-x', 'a'.repeat(129), 'a\nb', 'v1?tag=v2']) {
        await expect(registry.tag('contract/names', image.digest, tag)).rejects.toMatchObject({
          code: 'registry.name-invalid',
        });
      }
    });

    test('many names for one image at once all arrive, while others read it', async () => {
      const repository = fresh();
      const image = await testImage([{ hello: 'busy' }]);
      await pushImage(registry, repository, image);
      const tags = Array.from({ length: 40 }, (_, i) => `t${i}`);
      const reads = tags.map(async () => (await registry.manifest(repository, image.digest))?.digest);
      await Promise.all(tags.map((tag) => registry.tag(repository, image.digest, tag)));
      expect(new Set(await Promise.all(reads))).toEqual(new Set([image.digest]));
      expect((await registry.tags(repository)).sort()).toEqual([...tags].sort());
    });
  });
}
