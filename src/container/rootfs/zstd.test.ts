import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';

import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';

import { hexOf, isDigest } from '../../lib/digest.ts';
import type { Digest } from '../../lib/digest.ts';
import { cases } from '../../lib/testing/cases.ts';
import { type TestImages, testImages } from '../testing/images.ts';
import { ensureRootfs } from './unpack.ts';
import { unpackZstd } from './zstd.ts';

const run = promisify(execFile);
const fixture = (name: string) => readFile(join('fixtures/zstd', name));
const TEA = Buffer.from(
  Array.from({ length: 30_000 }, (_, at) => `${(at * 2_654_435_761) % 9973} tea for ${(at * 7) % 13}`).join('\n'),
);
const WRITTEN: [string, Buffer][] = [
  ['level-3.zst', TEA],
  ['long-27.zst', TEA],
  ['two-frames.zst', TEA],
  ['zeros.zst', Buffer.alloc(300_000)],
  ['empty.zst', Buffer.alloc(0)],
];

test.each(WRITTEN)('%s of the zstd program is read', async (name, content) => {
  const packed = await fixture(name);
  expect((await buffer(unpackZstd(inPieces(packed, 1000)))).equals(content)).toBe(true);
});

test('how the bytes come does not matter', async () => {
  const packed = await fixture('two-frames.zst');
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 70_000 }), async (size) => {
      expect((await buffer(unpackZstd(inPieces(packed, size)))).equals(TEA)).toBe(true);
    }),
    cases(8),
  );
});

test('what is damaged or cut off ends with an error that has no code, or is other content', async () => {
  const all = await Promise.all(WRITTEN.map(([name]) => fixture(name)));
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...all), damage, fc.nat(), async (packed, changes, end) => {
      const bytes = Buffer.from(packed.subarray(0, packed.length - (end % packed.length)));
      for (const [at, value] of changes) bytes[Math.floor(at % Math.min(bytes.length, 400))] = value;
      const outcome: unknown = await buffer(unpackZstd(inPieces(bytes, 5000))).catch((error: unknown) => error);
      expect(outcome instanceof Buffer || (outcome instanceof Error && !('code' in outcome))).toBe(true);
    }),
    cases(60),
  );
});

test('a frame that wants a window of 2 GB is refused, and one that unpacks to 400 MB comes piece by piece', async () => {
  const window = Buffer.from('28b52ffd00a8', 'hex'); // a window of 2 ** 31 bytes
  await expect(buffer(unpackZstd(inPieces(window, 1)))).rejects.toThrow('more memory');
  const header = Buffer.from('28b52ffd0058', 'hex');
  const block = Buffer.from([2, 0, 16, 65]); // the same byte 128 Ki times
  let size = 0;
  for await (const piece of unpackZstd(inPieces(Buffer.concat([header, Buffer.alloc(3200 * 4, block)]), 20_000))) {
    expect(piece.length).toBe(131_072);
    size += piece.length;
    if (size === 3200 * 131_072) break; // no block said that it was the last
  }
  expect(size).toBe(3200 * 131_072);
});

test('an image that skopeo packed with zstd is unpacked', async () => {
  const place = await mkdtemp(join(tmpdir(), 'towpath-zstd-'));
  onTestFinished(() => rm(place, { recursive: true }));
  const { images, digest } = await packedBySkopeo(place);
  const options = { directory: join(place, 'rootfs'), host: 'registry.test', platform: 'linux/amd64' };
  const { rootfs = '' } = await ensureRootfs(images, 'shop/web', digest, options);
  expect((await readFile(join(rootfs, 'tea.txt'))).equals(TEA)).toBe(true);
});

/** One layer with `tea.txt`, copied by skopeo from one OCI layout into another, where it compresses with zstd. */
async function packedBySkopeo(place: string): Promise<{ images: TestImages; digest: Digest }> {
  const made = testImages();
  const plain = await made.add('shop/web', { layers: [[{ name: 'tea.txt', content: TEA }]], compression: 'none' });
  const manifest = (await made.manifest('shop/web', plain))?.bytes ?? expect.unreachable();
  const { config, layers } = Manifest.parse(JSON.parse(manifest.toString()));
  const from = join(place, 'plain');
  const to = join(place, 'packed');
  await mkdir(join(from, 'blobs/sha256'), { recursive: true });
  await writeFile(join(from, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const entry = { mediaType: OCI_MANIFEST, digest: plain, size: manifest.length };
  await writeFile(join(from, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  await writeFile(blobIn(from, plain), manifest);
  for (const { digest } of [config, ...layers])
    await writeFile(blobIn(from, digest), await buffer(await made.readBlob('shop/web', digest)));
  await run('skopeo', ['copy', '--dest-compress-format', 'zstd', `oci:${from}`, `oci:${to}:v1`]);

  const index = Index.parse(JSON.parse(await readFile(join(to, 'index.json'), 'utf8')));
  const digest = index.manifests[0].digest;
  const bytes = await readFile(blobIn(to, digest));
  const packed = Manifest.parse(JSON.parse(bytes.toString()));
  expect(packed.layers.map(({ mediaType }) => mediaType)).toEqual(['application/vnd.oci.image.layer.v1.tar+zstd']);
  const blobs = new Map<Digest, Buffer>();
  for (const blob of [packed.config, ...packed.layers]) blobs.set(blob.digest, await readFile(blobIn(to, blob.digest)));
  const images = testImages();
  images.take({ digest, manifest: bytes, blobs });
  return { images, digest };
}

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const Content = z.object({ mediaType: z.string(), digest: z.custom<Digest>(isDigest) });
const Manifest = z.object({ config: Content, layers: z.array(Content) });
const Index = z.object({ manifests: z.tuple([Content]) });

function blobIn(layout: string, digest: Digest): string {
  return join(layout, 'blobs/sha256', hexOf(digest));
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
