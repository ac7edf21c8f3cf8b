import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { type Digest, sha256 } from '../../../lib/digest.ts';
import { cases } from '../../../lib/testing/cases.ts';
import { readImage, writeImage } from '../image-field.ts';
import type { ImagePlace } from '../image-place.ts';
import { parseManifest } from '../manifest/manifest.ts';
import { layouts, manifestBytes } from '../testing/layouts.ts';
import { type FieldsOfFile, imageFieldsOf } from './image-fields.ts';

const folder = fileURLToPath(new URL('../../../../fixtures/manifests', import.meta.url));
const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'));
const SAMPLE = { digest: sha256('sample'), tag: 'v0' } as const;

/** A kustomization is known by its name: each stands in a folder of its own, as kustomize has it. */
function pathOf(file: string): string {
  return file.startsWith('kustomization-') ? `${file.slice(0, -'.yaml'.length)}/kustomization.yaml` : file;
}

function fieldsOf(file: string): FieldsOfFile {
  return imageFieldsOf(parseManifest(manifestBytes(file), pathOf(file)));
}

function fieldsIn(text: string, file = 'f.yaml'): FieldsOfFile {
  return imageFieldsOf(parseManifest(Buffer.from(text), file));
}

/** @returns null for what the driver refuses */
function written(bytes: Uint8Array, place: ImagePlace, image: { digest: Digest; tag: string }): Buffer | null {
  try {
    return writeImage(bytes, place, image, 'digest');
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^gitops\./) });
    return null;
  }
}

/** Images in annotations are found by nobody but those who put them there. */
const UNSEEN = ['cron-job.yaml metadata.annotations."app.example.com/image"'];

test('every image of every layout is found: the same bytes change at what was found', () => {
  const missed = layouts
    .filter(({ place }) => place.name === undefined)
    .filter(({ place }) => {
      const bytes = manifestBytes(place.file);
      const wanted = written(bytes, place, SAMPLE);
      return !fieldsOf(place.file).fields.some((field) => written(bytes, field.place, SAMPLE)?.equals(wanted ?? bytes));
    })
    .map(({ place }) => `${place.file} ${'image' in place ? place.image : JSON.stringify(place)}`);
  expect(missed).toEqual(UNSEEN);
});

test.each(files)('what is found in %s is written and read again, and found again, whatever the image', (file) => {
  const { fields } = fieldsOf(file);
  const bytes = manifestBytes(file);
  const writable = fields.filter(({ place }) => written(bytes, place, SAMPLE) !== null);
  expect(writable.length).toBe(fields.length - (REFUSED[file] ?? 0));
  const digests = fc.stringMatching(/^[0-9a-f]{64}$/).map((hex): Digest => `sha256:${hex}`);
  const tags = fc.constantFrom('v1.4.1', '1.20', '1234e56', 'on', '0123');
  fc.assert(
    fc.property(fc.array(fc.tuple(digests, tags), { minLength: 20, maxLength: 20 }), (images) => {
      const pairs = writable.map(({ place }, at) => {
        const [digest, tag] = images[at % images.length] ?? [SAMPLE.digest, SAMPLE.tag];
        return { place, digest, tag };
      });
      const after = pairs.reduce<Buffer>(
        (text, { place, ...image }) => writeImage(text, place, image, 'digest'),
        Buffer.from(bytes),
      );
      for (const { place, digest } of pairs) expect(readImage(after, place)).toBe(digest);
      const again = imageFieldsOf(parseManifest(after, pathOf(file)));
      expect(again.fields.map(({ place }) => place)).toEqual(fields.map(({ place }) => place));
    }),
    cases(3),
  );
});

/** How many of those found in a file stand in several places, or go over lines. */
const REFUSED: Readonly<Record<string, number>> = { 'anchors-shared.yaml': 1, 'list-directive.yaml': 1 };

test.each([
  [
    'an image of an init container',
    'spec:\n  initContainers:\n    - {name: up, image: a/b:1}\n',
    { image: 'spec.initContainers[name=up].image' },
  ],
  [
    'one of a resource of somebody',
    'kind: Machine\nspec:\n  parts:\n    - image: a/b\n',
    { image: 'spec.parts[0].image' },
  ],
  ['of two containers of one name', 'c:\n- {name: x, image: a/b}\n- {name: x, image: y}\n', { image: 'c[0].image' }],
  [
    'values with a registry apart',
    'web:\n  image: {registry: r.example.com, repository: a/b, tag: v1}\n',
    { helm: 'web.image' },
  ],
  ['values that have a digest alone', 'image:\n  repository: a/b\n  digest: ""\n', { helm: 'image' }],
  ['values under another name', 'proxyImage: {tag: v1}\n', { helm: 'proxyImage' }],
  [
    'values of a chart of a kustomization',
    'kind: Kustomization\nhelmCharts:\n- valuesInline: {image: {repository: a/b, tag: v1}}\n',
    { helm: 'helmCharts[0].valuesInline.image' },
  ],
  [
    'a component',
    'kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\nimages: [{name: a/b}]\n',
    { kustomize: 'a/b' },
  ],
  ['a key with dots', '"a.b":\n  image: a/b\n', { image: '"a.b".image' }],
])('%s is found', (_what, text, place) => {
  expect(fieldsIn(text).fields[0]?.place).toEqual({ file: 'f.yaml', ...place });
});

test('documents are told apart by kind and name, and by their namespace where those are the same', () => {
  const one = (kind: string, namespace: string): string =>
    `kind: ${kind}\nmetadata: {name: web, namespace: ${namespace}}\nspec: {image: a/b}\n`;
  const { fields } = fieldsIn([one('A', 'x'), one('B', 'x'), one('B', 'y')].join('---\n'));
  expect(fields.map(({ place }) => 'document' in place && place.document)).toEqual([
    { kind: 'A', name: 'web' },
    { kind: 'B', name: 'web', namespace: 'x' },
    { kind: 'B', name: 'web', namespace: 'y' },
  ]);
});

test.each([
  ['a template', 'image: "{{ .Values.image }}"', 'is a template'],
  ['what a shell fills in', 'image: $(IMAGE)', 'is a template'],
  ['a picture', 'image: assets/logo.png', 'is no reference'],
  ['a page', 'image: https://example.com/x', 'is no reference'],
  ['nothing', 'image: ""', 'is empty'],
  ['an alias', 'a: &x a/b\nimage: *x', 'is an alias'],
  ['values without a version', 'image: {repository: a/b}', 'has neither `tag` nor `digest`'],
  ['values at the root', 'repository: a/b\ntag: v1', 'at its root'],
  ['a text with an image in it', 'patch: |-\n  - image: a/b\n', 'is a block of text'],
  ['an unnamed entry of a kustomization', 'kind: Kustomization\nimages: [{newTag: v1}]', 'without a `name`'],
  [
    'images that Flux puts in',
    'kind: Kustomization\napiVersion: kustomize.toolkit.fluxcd.io/v1\nspec:\n  sourceRef: {}\n  images: [{name: a/b}]',
    'is for Flux',
  ],
  ['a path with a line end in it', '"a\\nb":\n  image: a/b', 'cannot be seen'],
  ['a nesting without use', `${'[{a: '.repeat(60)}x${'}]'.repeat(60)}`, 'is nested deeper'],
])('%s is left out with the reason', (_what, text, why) => {
  const { fields, leftOut } = fieldsIn(`${text}\n`);
  expect(fields).toEqual([]);
  expect(leftOut.map((one) => one.why).join()).toContain(why);
});

test('what is no image is passed over without a word', () => {
  const crd = 'kind: CustomResourceDefinition\nspec:\n  properties:\n    image: {type: string, description: a}\n';
  expect(fieldsIn(`${crd}---\nkind: Chart\nversion: 1\n---\n# nothing\n`)).toEqual({ fields: [], leftOut: [] });
});
