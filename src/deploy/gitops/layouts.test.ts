import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';

import type { Digest } from '../../lib/digest.ts';
import { cases } from '../../lib/testing/cases.ts';
import { type ImageStyle, readImage, writeImage } from './image-field.ts';
import { type Layout, layouts, manifestBytes, shapeOf } from './testing/layouts.ts';

const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
const digests = hex.map((text): Digest => `sha256:${text}`);
/** Tags that some reader takes for a number, a time or a truth come as often as others. */
const tags = fc.oneof(
  fc.constantFrom(
    '1234e56',
    '0123',
    '1.20',
    'on',
    'no',
    'y',
    'null',
    '12_30',
    '0x1f',
    '1e3',
    '2026-11-30',
    '0o17',
    '1.0',
  ),
  fc.constantFrom('v1.4.1', '1.4.1', '1.4.1-rc.1', 'main-4f2a91c'),
  fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/),
);
const styles = fc.constantFrom<ImageStyle>('digest', 'tag@digest');

test('there are twenty layouts and more, and each has an image that is written', () => {
  const folder = fileURLToPath(new URL('../../../fixtures/manifests', import.meta.url));
  const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'));
  expect(files.length).toBeGreaterThanOrEqual(20);
  const refused = ['anchors-shared.yaml'];
  expect(files.filter((file) => !layouts.some(({ place }) => place.file === file))).toEqual(refused);
});

test.each(layouts.map((layout) => [nameOf(layout), layout] as const))(
  'only the wanted bytes differ: %s',
  (_name, layout) => {
    const before = manifestBytes(layout.place.file);
    const mayBe = shapeOf(before, layout);
    fc.assert(
      fc.property(digests, tags, styles, digests, (digest, tag, style, next) => {
        const after = writeImage(before, layout.place, { digest, tag }, style);
        expect(after.toString('latin1')).toMatch(mayBe);
        expect(readImage(after, layout.place)).toBe(digest);
        expect(writeImage(after, layout.place, { digest, tag }, style).equals(after)).toBe(true);
        // a second promotion moves the same bytes, and the one back brings the first again
        const later = writeImage(after, layout.place, { digest: next, tag: 'v2' }, style);
        expect(later.toString('latin1')).toMatch(mayBe);
        const back = writeImage(later, layout.place, { digest, tag }, style);
        expect(readImage(back, layout.place)).toBe(digest);
        const texts = textsOf(back, '1.2');
        expect(texts.every((text) => typeof text === 'string')).toBe(true);
        expect(texts.some((text) => String(text).endsWith(digest))).toBe(true);
        expect(textsOf(back, '1.1')).toEqual(texts);
      }),
      cases(4),
    );
  },
);

function nameOf({ place }: Layout): string {
  const { file, ...rest } = place;
  return `${file} ${JSON.stringify(rest)}`;
}

/** What names an image, a tag or a digest, as a version of YAML reads it. */
function textsOf(bytes: Buffer, version: '1.1' | '1.2'): unknown[] {
  const documents = parseAllDocuments(bytes.toString('utf8').replace(/^\ufeff/, ''), { version, logLevel: 'silent' });
  const found: unknown[] = [];
  for (const document of documents)
    JSON.stringify(document.toJS({ maxAliasCount: 100 }), (key, value: unknown) => {
      const isText = typeof value === 'string' && value.includes('sha256:');
      if (isText || (typeof value !== 'object' && /image|^(?:tag|newTag|digest)$/.test(key))) found.push(value);
      return value;
    });
  return found;
}
