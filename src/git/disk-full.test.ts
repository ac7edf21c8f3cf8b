import { join } from 'node:path';

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';

import { noSmallDisk, smallDisk } from '../lib/testing/small-disk.ts';
import { openMirror } from './mirror.ts';
import { startForge, type Forge } from './testing/forge.ts';

let forge: Forge;
beforeAll(async () => {
  forge = await startForge();
});
afterAll(() => forge.close());

test.skipIf(noSmallDisk !== null)(
  'a mirror that finds no space is told as a full disk, and is whole when there is some',
  async () => {
    const disk = smallDisk(6);
    onTestFinished(() => disk.remove());
    const repository = await forge.createRepository('full');
    const first = await repository.commit({ files: { 'README.md': 'small' } });
    const mirror = await openMirror({
      url: repository.url,
      allow: ['http'],
      directory: join(disk.directory, 'mirror'),
    });
    onTestFinished(() => mirror.close());
    await mirror.fetch();
    const readme = async () => (await mirror.file(first, 'README.md'))?.toString();
    expect(await readme()).toBe('small');
    const large = Buffer.from(Array.from({ length: 400_000 }, (_, i) => (i * 2_654_435_761) >>> 24));
    const second = await repository.commit({ files: { 'large.bin': large } });
    disk.fill(20_000);
    const work = async (): Promise<Buffer | null> => {
      await mirror.fetch();
      return mirror.file(second, 'large.bin');
    };
    await expect(work()).rejects.toMatchObject({ code: 'disk.full' });
    expect(await readme()).toBe('small');
    disk.free();
    expect((await work())?.equals(large)).toBe(true);
    expect(await mirror.refs()).toMatchObject([{ oid: second }]);
  },
);
