import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import type { Registry } from '../registry.ts';
import { noise, pushBlob } from './images.ts';

/** What every place of blobs must do for Towpath: registries, and buckets. */
export function blobContract(
  name: string,
  open: () => Promise<{
    registry: Pick<Registry, 'hasBlob' | 'readBlob' | 'writeBlob'>;
    close: () => Promise<void>;
  }>,
): void {
  describe(`${name}, as a place of blobs`, () => {
    let registry: Pick<Registry, 'hasBlob' | 'readBlob' | 'writeBlob'>;
    let close: () => Promise<void>;
    let count = 0;
    const fresh = () => `contract/blobs-${process.pid}-${++count}`;

    beforeAll(async () => ({ registry, close } = await open()));
    afterAll(async () => close());

    test('a blob is written once, from a buffer or a stream, small or large', async () => {
      const repository = fresh();
      for (const size of [0, 1, 1000, 1024 * 1024 + 1, 5_000_000]) {
        const bytes = noise(size, `blob${size}`);
        let opened = 0;
        const source = () => {
          opened++;
          return Readable.from([bytes.subarray(0, 700), bytes.subarray(700)], { objectMode: false });
        };
        const blob = { digest: sha256(bytes), size, open: source };
        await registry.writeBlob(repository, blob);
        await registry.writeBlob(repository, blob);
        expect(opened).toBe(1);
        expect(await registry.hasBlob(repository, blob.digest)).toBe(size);
        expect((await buffer(await registry.readBlob(repository, blob.digest))).equals(bytes)).toBe(true);
      }
    });

    test('a blob that is not there is null, and an error to who reads it', async () => {
      const repository = fresh();
      const digest = sha256('nowhere');
      expect(await registry.hasBlob(repository, digest)).toBeNull();
      await expect(registry.readBlob(repository, digest)).rejects.toMatchObject({
        code: expect.stringMatching(/^registry\.(not-found|content-missing)$/),
      });
    });

    test('a blob that many write at once is there, whole', async () => {
      const repository = fresh();
      const bytes = noise(300_000, repository);
      await Promise.all(Array.from({ length: 8 }, () => pushBlob(registry, repository, bytes)));
      expect((await buffer(await registry.readBlob(repository, sha256(bytes)))).equals(bytes)).toBe(true);
    });

    test('a blob with another digest than promised is refused', async () => {
      const repository = fresh();
      for (const bytes of [noise(2000), noise(3_000_000)]) {
        const digest = sha256('something else');
        await expect(
          registry.writeBlob(repository, { digest, size: bytes.length, open: () => bytes }),
        ).rejects.toMatchObject({ code: 'registry.digest-mismatch' });
        expect(await registry.hasBlob(repository, digest)).toBeNull();
      }
    });

    test('a blob whose source fails is an error, and nothing of it stays', async () => {
      const repository = fresh();
      const digest = sha256('never');
      const source = () => new Readable({ construct: (done) => done(new Error('disk on fire')), read: () => {} });
      await expect(registry.writeBlob(repository, { digest, size: 9_000_000, open: source })).rejects.toThrow();
      expect(await registry.hasBlob(repository, digest)).toBeNull();
    });
  });
}
