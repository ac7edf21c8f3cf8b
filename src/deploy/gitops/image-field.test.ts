import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Digest } from '../../lib/digest.ts';
import { cases } from '../../lib/testing/cases.ts';
import { readImage, writeImage, type ImageStyle } from './image-field.ts';
import { type ImagePlace, ImagePlaceSchema } from './image-place.ts';
import { manifestBytes } from './testing/layouts.ts';

const DIGEST: Digest = `sha256:${'a'.repeat(64)}`;

function write(
  text: string | Buffer,
  place: Partial<ImagePlace>,
  tag: string | null = 'v2',
  style: ImageStyle = 'digest',
) {
  const whole = ImagePlaceSchema.parse({ file: 'it.yaml', ...place });
  return writeImage(Buffer.from(text), whole, { digest: DIGEST, tag }, style).toString();
}

describe('how an image is written', () => {
  test('a whole reference keeps its name, and the tag stands behind it as a comment', () => {
    expect(write('image: host:5000/shop/web:v1\n', { image: 'image' })).toBe(
      `image: host:5000/shop/web@${DIGEST} # towpath: v2\n`,
    );
  });

  test('a comment of ours is moved, and one of others is left alone', () => {
    expect(write('image: web:v1 # towpath: v1\n', { image: 'image' })).toBe(`image: web@${DIGEST} # towpath: v2\n`);
    expect(write('image: web:v1 # towpath is great\n', { image: 'image' })).toBe(
      `image: web@${DIGEST} # towpath is great\n`,
    );
  });

  test('the tag stands within the reference where that is wanted', () => {
    expect(write('image: web:v1\n', { image: 'image' }, 'v2', 'tag@digest')).toBe(`image: web:v2@${DIGEST}\n`);
  });

  test('a name that is given is written, too', () => {
    expect(write('image: web:v1\n', { image: 'image', name: 'reg.example.com/web' }, null)).toBe(
      `image: reg.example.com/web@${DIGEST}\n`,
    );
  });

  test('values without a key for digests get a tag that holds one', () => {
    expect(write('image:\n  tag: "1"\n', { helm: 'image' })).toBe(`image:\n  tag: "v2@${DIGEST}"\n`);
  });

  test('a tag that YAML takes for a number is quoted, and a version is not', () => {
    const values = "image:\n  tag: v1\n  digest: ''\n";
    expect(write(values, { helm: 'image' }, '1234e56')).toContain('tag: "1234e56"\n');
    expect(write(values, { helm: 'image' }, '0123')).toContain('tag: "0123"\n');
    expect(write(values, { helm: 'image' }, 'on')).toContain('tag: "on"\n');
    expect(write(values, { helm: 'image' }, '1.4.1')).toContain('tag: 1.4.1\n');
  });

  test('a kustomization gets a digest below what it says of the image', () => {
    expect(write('images:\n- name: web\n  newTag: v1', { kustomize: 'web' })).toBe(
      `images:\n- name: web\n  newTag: v2\n  digest: ${DIGEST}`,
    );
  });
});

describe('what cannot be proven is refused', () => {
  const anchors = manifestBytes('anchors-shared.yaml');
  test.each([
    ['an alias', anchors, { image: 'migrate.image' }, 'gitops.shared'],
    ['a field that an alias repeats', anchors, { image: 'base.image' }, 'gitops.shared'],
    ['a field that comes by a merge', anchors, { image: 'web.image' }, 'gitops.no-path'],
    ['a path that is not there', 'a: b\n', { image: 'image' }, 'gitops.no-path'],
    ['a block of text', 'image: |\n  web\n', { image: 'image' }, 'gitops.not-a-scalar'],
    [
      'a folded text',
      manifestBytes('list-directive.yaml'),
      {
        image: 'items[0].spec.template.spec.containers[0].image',
      },
      'gitops.not-a-scalar',
    ],
    ['a text over two lines', 'image: "web\n  two"\n', { image: 'image' }, 'gitops.not-a-scalar'],
    ['a map', 'image: { a: b }\n', { image: 'image' }, 'gitops.not-a-scalar'],
    ['nothing', 'image:\nb: c\n', { image: 'image' }, 'gitops.not-a-scalar'],
    ['a tag of YAML', 'image: !env WEB\n', { image: 'image' }, 'gitops.not-a-scalar'],
    ['a template in a text', 'image: "{{ .Values.image }}"\n', { image: 'image' }, 'gitops.template'],
    ['a template', '{{- if .Values.on }}\nimage: a\n{{- end }}\n', { image: 'image' }, 'gitops.not-yaml'],
    ['a doubled key', 'image: a\nimage: b\n', { image: 'image' }, 'gitops.not-yaml'],
    ['bytes that are not UTF-8', Buffer.from([0x61, 0xff]), { image: 'image' }, 'gitops.not-yaml'],
    ['a nesting without end', '['.repeat(100_000), { image: 'image' }, 'gitops.not-yaml'],
    ['a path that is in two documents', 'image: a\n---\nimage: b\n', { image: 'image' }, 'gitops.ambiguous'],
    [
      'a name of two items',
      'c: [{name: a, image: b}, {name: a, image: c}]',
      { image: 'c[name=a].image' },
      'gitops.ambiguous',
    ],
    ['an image that a kustomization does not name', 'images: []\n', { kustomize: 'web' }, 'gitops.no-path'],
  ])('%s', (_what, text, place, code) => {
    expect(() => write(text, place as Partial<ImagePlace>)).toThrow(expect.objectContaining({ code }));
  });

  test('a tag that no image can have', () => {
    expect(() => write('image: a\n', { image: 'image' }, 'a\nb: c')).toThrow(
      expect.objectContaining({ code: 'gitops.value' }),
    );
  });

  test('values whose tag must hold the digest, of an image without a tag', () => {
    expect(() => write('image:\n  tag: "1"\n', { helm: 'image' }, null)).toThrow(
      expect.objectContaining({ code: 'gitops.no-tag' }),
    );
  });
});

test('whatever a file holds: it is changed at the place alone, or refused with a code', () => {
  const words = fc.constantFrom(
    'image: a',
    '  image: b',
    '- image: c',
    '&x',
    '*x',
    '|',
    '# note',
    '---',
    '"',
    "'",
    ':',
    '{',
    '}',
    '[',
    ']',
    ',',
    '\t',
    '?',
    '!t',
    '<<: *x',
    'é',
    '\r',
  );
  const files = fc.array(fc.tuple(words, fc.constantFrom('\n', ' ', '\r\n', '')), { maxLength: 14 });
  fc.assert(
    fc.property(files, (parts) => {
      const text = parts.flat().join('');
      try {
        const after = writeImage(
          Buffer.from(text),
          { file: 'f', image: 'image' },
          { digest: DIGEST, tag: null },
          'digest',
        );
        expect(readImage(after, { file: 'f', image: 'image' })).toBe(DIGEST);
        const [before, now] = [text.split('\n'), after.toString().split('\n')];
        expect(now.filter((line, index) => line !== before[index])).toHaveLength(1);
        expect(now).toHaveLength(before.length);
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^gitops\./) });
      }
    }),
    cases(500),
  );
});
