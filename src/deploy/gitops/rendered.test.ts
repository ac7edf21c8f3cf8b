import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';

import { findGoProgram } from '../../../tools/go-programs.js';
import { type FileChange } from '../../git/testing/forge.ts';
import { type Digest, sha256 } from '../../lib/digest.ts';
import { parseReference } from '../../registry/reference.ts';
import { gitopsUnderTest } from '../testing/manifest-machine.ts';
import { GitopsConfig } from './config.ts';
import type { ImagePlace } from './image-place.ts';
import { layouts, manifestBytes } from './testing/layouts.ts';

const run = promisify(execFile);

/** Fixture -> its file in a repository as people have it. */
const OVERLAYS: Readonly<Record<string, string>> = {
  'kustomization-new-tag.yaml': 'overlays/new-tag/kustomization.yaml',
  'kustomization-digest-crlf.yaml': 'overlays/digest-crlf/kustomization.yaml',
  'kustomization-flow.yaml': 'overlays/flow/kustomization.yaml',
};
const PLAIN = ['deployment-comments', 'multi-document', 'crlf-deployment', 'cron-job', 'stateful-set', 'block-scalars'];
/** Fixture -> where its values are: at its root, or in an object of Flux or Argo CD. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  'helm-values.yaml': [],
  'helm-number-tag.yaml': [],
  'helm-umbrella.yaml': [],
  'bom-values.yaml': [],
  'flux-helm-release.yaml': ['spec', 'values'],
  'app-of-apps.yaml': ['spec', 'source', 'helm', 'valuesObject'],
};
/** Texts that a reader of YAML may take for numbers and truths. */
const TAGS = ['v1.4.1', '1.20', '1234e56', 'on', '0123'];

interface WrittenPlace {
  readonly fixture: string;
  readonly place: ImagePlace;
  readonly service: string;
}

const places: readonly WrittenPlace[] = layouts
  .filter(({ place }) => pathOf(place.file) !== null)
  .filter(({ place }) => !('image' in place && /annotations|kustomize/.test(place.image)))
  .filter(({ place }) => !(place.file === 'helm-number-tag.yaml' && place.name !== undefined))
  .map(({ place }, at) => ({
    fixture: place.file,
    place: { ...place, file: pathOf(place.file) ?? '' },
    service: `s${at}`,
  }));

function pathOf(fixture: string): string | null {
  if (fixture in VALUES) return `values/${fixture}`;
  const name = fixture.replace('.yaml', '');
  return OVERLAYS[fixture] ?? (PLAIN.includes(name) ? `plain/${name}/${fixture}` : null);
}

function digestOf({ service }: WrittenPlace, tag: string): Digest {
  return sha256(`${service} ${tag}`);
}

let under: Awaited<ReturnType<typeof gitopsUnderTest>>;
let work: string;

beforeAll(async () => {
  under = await gitopsUnderTest();
  work = await mkdtemp(join(tmpdir(), 'towpath-rendered-'));
  const base: Record<string, FileChange> = {
    'kustomization.yaml': 'resources: [web.yaml, worker.yaml]\n',
    'web.yaml': deployment('web'),
    'worker.yaml': deployment('worker'),
  };
  const files: Record<string, FileChange> = {
    'overlays/new-tag/replicas.yaml':
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec: { replicas: 3 }\n',
  };
  for (const name of PLAIN) files[`plain/${name}/kustomization.yaml`] = `resources: [${name}.yaml]\n`;
  for (const folder of ['base', 'overlays/base'])
    for (const [name, text] of Object.entries(base)) files[`${folder}/${name}`] = text;
  for (const fixture of new Set(places.map((one) => one.fixture)))
    files[pathOf(fixture) ?? ''] = manifestBytes(fixture);
  await under.repository.commit({ files });
});
afterAll(async () => {
  await rm(work, { recursive: true, force: true });
  await under.dispose();
});

function deployment(name: string): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec: { template: { spec: { containers: [{ name: ${name}, image: shop/${name} }] } } }
`;
}

let token = 0n;

const clones = new Map<string, Promise<string>>();

/** One promotion of all of them by the driver, and a clone of what it left. */
function promoted(tag: string): Promise<string> {
  const clone = clones.get(tag) ?? promote(tag);
  clones.set(tag, clone);
  return clone;
}

async function promote(tag: string): Promise<string> {
  const driver = under.restart();
  const desired = {
    target: { project: 'shop', environment: 'prod', slug: 'prod-1' },
    config: GitopsConfig.parse({
      repository: under.repository.url,
      branch: 'main',
      services: Object.fromEntries(places.map(({ service, place }) => [service, place])),
    }),
    operation: `promotion-${tag}`,
    services: places.map((one) => ({
      service: one.service,
      image: 'registry.test/shop/web',
      digest: digestOf(one, tag),
      tag,
      env: {},
      secrets: {},
      replicas: 1,
      limits: {},
    })),
  };
  const signal = new AbortController().signal;
  await driver.apply(desired, driver.plan(desired, { services: {} }), {
    log: () => undefined,
    signal,
    token: (token += 1n),
  });
  const clone = join(work, tag);
  await run('git', ['clone', '--quiet', under.repository.url, clone]);
  return clone;
}

/** All images of containers in a stream of objects. */
function imagesIn(output: string): string[] {
  const images: string[] = [];
  for (const document of parseAllDocuments(output))
    JSON.stringify(document.toJS(), (key, value: unknown) => {
      if (key === 'image' && typeof value === 'string') images.push(value);
      return value;
    });
  return images;
}

function digestsIn(output: string): (Digest | null)[] {
  return imagesIn(output).map((image) => parseReference(image).digest);
}

const kustomize = findGoProgram('kustomize');
const helm = findGoProgram('helm');
for (const { missing } of [kustomize, helm]) if (missing !== undefined) process.stderr.write(`${missing}\n`);

describe.runIf(kustomize.missing === undefined)('kustomize build', () => {
  const build = async (folder: string): Promise<string> =>
    (await run(kustomize.path ?? '', ['build', folder], { maxBuffer: 1 << 24 })).stdout;

  test.each(TAGS)('reads what was promoted as %s: overlays give their objects the digests', async (tag) => {
    const clone = await promoted(tag);
    for (const [fixture, path] of Object.entries(OVERLAYS)) {
      const output = await build(join(clone, path, '..'));
      const wanted = places.filter((one) => one.fixture === fixture).map((one) => digestOf(one, tag));
      expect(new Set(digestsIn(output)), fixture).toEqual(new Set(wanted));
    }
  });

  test.each(PLAIN)('reads the objects of %s, and they have the digests', async (name) => {
    const output = await build(join(await promoted('0123'), 'plain', name));
    const wanted = places.filter((one) => one.fixture === `${name}.yaml`).map((one) => digestOf(one, '0123'));
    expect(digestsIn(output)).toEqual(expect.arrayContaining(wanted));
  });

  test('names and tags are those that were there, and those that were promoted', async () => {
    const output = await build(join(await promoted('v2.0.0'), 'overlays/new-tag'));
    expect(
      imagesIn(output)
        .map((image) => image.replace(/sha256:.*/, ''))
        .toSorted(),
    ).toEqual(['registry.example.com/shop/web:v2.0.0@', 'shop/worker:v2.0.0@']);
    expect(output).toContain('replicas: 3');
  });
});

describe.runIf(helm.missing === undefined)('helm template', () => {
  /** Charts that know digests write them behind the tag; all others join name and tag by a colon. */
  const KNOWING = '{{ .repository }}:{{ .tag }}@{{ .digest }}';
  const OTHERS = '{{ default "registry.example.com/database" .repository }}:{{ .tag }}';

  /** @returns the images of a chart with a pod for each of these maps of values */
  const render = async (folder: string, values: unknown, file: string, paths: readonly string[]): Promise<string[]> => {
    await mkdir(join(folder, 'templates'), { recursive: true });
    await writeFile(join(folder, 'Chart.yaml'), 'apiVersion: v2\nname: shop\nversion: 1.0.0\n');
    const pods = paths.map((path) => {
      const image = valueAt(values, path.split('.'));
      const text = Object.hasOwn(image as object, 'digest') ? KNOWING : OTHERS;
      return `kind: Pod\nspec:\n  containers:\n    - image: "{{ with .Values.${path} }}${text}{{ end }}"\n`;
    });
    await writeFile(join(folder, 'templates', 'pods.yaml'), pods.join('---\n'));
    return imagesIn((await run(helm.path ?? '', ['template', 'shop', folder, '--values', file])).stdout);
  };

  test.each(TAGS)('reads what was promoted as %s: charts make references to the digests of it', async (tag) => {
    const clone = await promoted(tag);
    for (const [fixture, within] of Object.entries(VALUES)) {
      const mine = places.filter((one) => one.fixture === fixture);
      const file = join(clone, pathOf(fixture) ?? '');
      const [document] = parseAllDocuments((await readFile(file, 'utf8')).replace(/^\ufeff/, ''));
      const values = valueAt(document?.toJS(), within);
      const given = within.length === 0 ? file : join(work, 'values.json'); // Flux and Argo CD hand over what they read
      if (given !== file) await writeFile(given, JSON.stringify(values));
      const paths = mine.map(({ place }) =>
        'helm' in place ? place.helm.split('.').slice(within.length).join('.') : '',
      );
      const images = (await render(join(work, `${tag}-${fixture}`), values, given, paths)).map(parseReference);
      expect(
        images.map((image) => [image.digest, image.tag]),
        fixture,
      ).toEqual(mine.map((one) => [digestOf(one, tag), tag]));
    }
  });
});

function valueAt(value: unknown, keys: readonly string[]): unknown {
  return keys.reduce((at, key) => (at as Record<string, unknown>)[key], value);
}
