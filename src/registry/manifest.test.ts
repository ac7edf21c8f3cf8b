import { expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { OCI_INDEX, OCI_MANIFEST, parseManifest } from './manifest.ts';

const layer = { mediaType: 'x', digest: sha256('x'), size: 1 };
const image = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: layer, layers: [layer] };
const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [layer] };
const parse = (value: unknown, type: string | null = null) => parseManifest(Buffer.from(JSON.stringify(value)), type);

test('a manifest has one reading only (CVE-2021-41190)', () => {
  expect(parse(image).kind).toBe('image');
  expect(parse(index).kind).toBe('index');
  expect(() => parse(image, OCI_INDEX)).toThrow(/calls itself/);
  expect(() => parse({ ...image, manifests: [layer] })).toThrow(/image and an index at once/);
  expect(() => parse({ ...index, layers: [layer] })).toThrow(/image and an index at once/);
  expect(() => parse({ ...image, mediaType: undefined }, OCI_INDEX)).toThrow(/index without/);
});

test('what is no manifest is refused with the place of the fault', () => {
  expect(() => parse({ ...image, schemaVersion: 1 })).toThrow(/"schemaVersion"/);
  expect(() => parse({ ...image, layers: [{ ...layer, digest: 'sha256:../..' }] })).toThrow(/"layers.0.digest"/);
  expect(() => parse({ ...image, layers: [{ ...layer, size: -1 }] })).toThrow(/"layers.0.size"/);
  expect(() => parse({ ...image, mediaType: 'text/html' })).toThrow(/media type text\/html/);
  expect(() => parseManifest(Buffer.alloc(5 * 1024 * 1024, ' '), null)).toThrow(/limit/);
});
