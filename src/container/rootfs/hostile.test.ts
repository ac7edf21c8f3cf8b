import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { hasCode } from '../../lib/error.ts';
import { cases } from '../../lib/testing/cases.ts';
import { type TestEntry, testImages } from '../testing/images.ts';
import type { ImageOnMachine } from '../runtime.ts';
import { removeTree } from './folders.ts';
import { ensureRootfs } from './unpack.ts';

let place: string;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'towpath-hostile-'));
  mkdirSync(join(place, 'outside'));
  writeFileSync(join(place, 'outside/kept'), 'untouched', { mode: 0o640 });
  symlinkSync('kept', join(place, 'outside/link'));
});
afterEach(() => removeTree(place));

const part = fc.constantFrom(
  'a',
  'b',
  'c',
  '..',
  '.',
  '',
  'outside',
  'kept',
  'link',
  '.wh.a',
  '.wh..wh..opq',
  '.wh.',
  '.wh...',
);
const path = fc.oneof(
  fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/')),
  fc.constantFrom(
    '/',
    '//',
    '/etc/passwd',
    '../../outside/kept',
    '../outside',
    'a\0b',
    'x'.repeat(300),
    `${'d/'.repeat(200)}f`,
  ),
);

test('whatever entries its layers hold, an image is unpacked within its root or refused', async () => {
  const entry = fc.record({
    name: fc.oneof(path, fc.constant('OUTSIDE')),
    type: fc.constantFrom('file', 'directory', 'symlink', 'link', 'character-device', 'fifo'),
    linkname: fc.oneof(path, fc.constantFrom('OUTSIDE', 'OUTSIDE/kept', '../../../..')),
    mode: fc.constantFrom(0o000, 0o644, 0o4755, 0o7777),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(entry, { maxLength: 6 }), { minLength: 1, maxLength: 3 }), async (layers) => {
      const meant = layers.map((entries) =>
        entries
          .filter(({ name }) => name !== '')
          .map(({ name, type, linkname, mode }) => entryOf(outside(name), type as 'file', outside(linkname), mode)),
      );
      await holds(meant);
    }),
    cases(150),
  );
  expect(snapshot(join(place, 'outside'))).toEqual(['kept file 640 untouched', 'link -> kept']);
  expect(readdirSync(place).sort()).toEqual(['images', 'outside']);
});

test('whatever bytes a layer is, it is unpacked or refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 1_500 }), fc.boolean(), async (bytes, zipped) => {
      const tar = Buffer.from(bytes);
      const blob = zipped ? gzipSync(tar) : tar;
      const images = testImages();
      const whole = await images.add('shop/web', { layers: [[]] });
      const manifest = JSON.parse((await images.manifest('shop/web', whole))?.bytes.toString() ?? '') as {
        layers: object[];
        config: object;
      };
      const config = Buffer.from(
        JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [sha256(tar)] } }),
      );
      const lying = Buffer.from(
        JSON.stringify({
          ...manifest,
          config: { ...manifest.config, digest: sha256(config), size: config.length },
          layers: [{ ...manifest.layers[0], digest: sha256(blob), size: blob.length }],
        }),
      );
      const blobs = new Map([
        [sha256(config), config],
        [sha256(blob), blob],
      ]);
      images.take({ digest: sha256(lying), manifest: lying, blobs });
      await isUnpackedOrRefused(() => ensureRootfs(images, 'shop/web', sha256(lying), options()));
    }),
    cases(80),
  );
});

function entryOf(name: string, type: 'file', linkname: string, mode: number): TestEntry {
  return { name, type, mode, ...(type === 'file' ? { content: 'new' } : { linkname }) };
}

async function holds(layers: readonly (readonly TestEntry[])[]): Promise<void> {
  const images = testImages();
  const digest = await images.add('shop/web', { layers });
  await isUnpackedOrRefused(() => ensureRootfs(images, 'shop/web', digest, options()));
}

async function isUnpackedOrRefused(unpack: () => Promise<ImageOnMachine>): Promise<void> {
  try {
    const { rootfs } = await unpack();
    expect(existsSync(rootfs ?? '')).toBe(true);
  } catch (error) {
    if (!hasCode(error, 'container.image-refused', 'container.image-malformed')) throw error;
  }
}

function options() {
  return {
    directory: join(place, 'images'),
    host: 'registry.test',
    platform: 'linux/amd64',
    limits: { maxBytes: 1_000_000, maxEntries: 10_000 },
  };
}

function outside(text: string): string {
  return text.replace('OUTSIDE', join(place, 'outside'));
}

function snapshot(folder: string): string[] {
  return readdirSync(folder)
    .sort()
    .map((name) => {
      const stat = lstatSync(join(folder, name));
      return stat.isSymbolicLink()
        ? `${name} -> kept`
        : `${name} file ${(stat.mode & 0o777).toString(8)} ${readFileSync(join(folder, name), 'utf8')}`;
    });
}
