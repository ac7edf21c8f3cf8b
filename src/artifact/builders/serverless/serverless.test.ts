import { createHash } from 'node:crypto';
import { lstat, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import { buffer } from 'node:stream/consumers';

import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import type { SourceTree } from '../../../git/tree.ts';
import type { Digest } from '../../../lib/digest.ts';
import { cases } from '../../../lib/testing/cases.ts';
import type { BlobPlace } from '../../image-store.ts';
import type { LayerItem } from '../../oci/layer.ts';
import { memoryImageStore } from '../../testing/memory-image-store.ts';
import { sourceOf } from '../../testing/source-of.ts';
import { readFunctionManifest } from '../../zip/function-manifest.ts';
import { readZip } from '../../zip/zip-reader.ts';
import { nodeBasePin, nodeParts } from '../node/create.ts';
import { serverlessBuilder } from './serverless.ts';

const platform = 'linux/amd64';
const images = memoryImageStore();
const service = 'fixtures/osls/service';
const keptTarballs = 'node_modules/.cache/towpath-node-builder';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-serverless-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('the zips hold what osls itself put into its own', async () => {
  const { zips } = await build(await serviceOnDisk(), { definition: {}, cacheDirectory: keptTarballs });
  const expected = JSON.parse(await readFile('fixtures/osls/zips.json', 'utf8')) as Record<
    string,
    Record<string, string[]>
  >;
  expect([...zips.keys()]).toEqual(['functions.zip', 'report.zip']);
  expect(await listingOf(zips.get('functions.zip'))).toEqual(withoutNpmsNotes(expected['thumbnails']));
  expect(await listingOf(zips.get('report.zip'))).toEqual(withoutNpmsNotes(expected['report']));
});

test('equal sources give the same digest on machines that share nothing, and any change another one', async () => {
  const file = fc.record({
    path: fc.constantFrom('a.js', 'lib/b.js', 'c.md', 'lib/d.json'),
    text: fc.string({ maxLength: 20 }),
  });
  const changes = fc.uniqueArray(file, { selector: ({ path }) => path, minLength: 1, maxLength: 3 });
  const plain = (await build(functions())).digest;
  await fc.assert(
    fc.asyncProperty(changes, fc.nat(), async (more, machine) => {
      const files = Object.fromEntries(more.map(({ path, text }) => [path, text]));
      const one = await build(functions(files), { cacheDirectory: join(folder, 'one') });
      const other = await build(functions(files), { cacheDirectory: join(folder, `m${machine}`), repository: 'x/y' });
      expect(other.digest).toBe(one.digest);
      expect(one.digest).not.toBe(plain);
    }),
    cases(12),
  );
  const executable = await build(functions({ 'index.js': { mode: '100755', content: INDEX } }));
  expect(executable.digest).not.toBe(plain);
});

test('the same source again uploads nothing', async () => {
  await build(functions());
  const { uploadedBytes } = images.counts;
  await build(functions());
  expect(images.counts.uploadedBytes).toBe(uploadedBytes);
});

test('in a bucket the zips are the same, and the registry holds none of them', async () => {
  const bucket = memoryImageStore();
  const here = await build(functions({ 'b.js': '2' }), { repository: 'shop/here' });
  const there = await build(functions({ 'b.js': '2' }), { repository: 'shop/there', bucket });
  expect(there.code).toEqual({ ...here.code, rest: 'bucket' });
  expect(there.zips.get('functions.zip')?.map(({ path }) => path)).toEqual(['b.js', 'index.js']);
  for (const { digest } of there.code?.zips ?? []) expect(await images.hasBlob('shop/there', digest)).toBeNull();
});

test('what the patterns leave out is in no key either, but the file that names them is', async () => {
  const yaml =
    "provider: { runtime: nodejs22.x }\npackage: { patterns: ['!docs/**'] }\nfunctions: { f: { handler: index.handler } }\n";
  const source = sourceOf({ 'index.js': INDEX, 'docs/a.md': '', 'serverless.yml': yaml });
  const builder = serverlessBuilder({ ...nodeParts({ images, cacheDirectory: folder }), bucket: null });
  const { entries } = await builder.inputs(builder.definition.parse({}), source);
  expect(entries.map(({ path }) => path)).toEqual(['index.js', 'serverless.yml']);
  expect(
    [...(await build(source, { definition: {} })).zips.values()].map((items) => items.map(({ path }) => path)),
  ).toEqual([['index.js']]);
});

test('a token of npm, what the framework leaves out and links to nothing stay out of the zip', async () => {
  const { zips } = await build(
    functions({
      '.npmrc': '//registry.example/:_authToken=secret',
      '.gitignore': 'x',
      'serverless.yaml': 'old: 1',
      gone: { mode: '120000', content: 'nowhere.js' },
      same: { mode: '120000', content: 'index.js' },
    }),
  );
  expect(zips.get('functions.zip')?.map(({ path }) => path)).toEqual(['index.js', 'same']);
});

test.each([
  ['artifact.no-functions', {}, {}],
  ['artifact.no-functions', {}, { config: 'other.yml' }],
  ['artifact.handler-missing', {}, { functions: { f: { handler: 'src/none.handler' } } }],
  ['artifact.handler-missing', { 'main.ts': '' }, { functions: { f: { handler: 'main.handler' } } }],
  ['artifact.link-outside', { esc: { mode: '120000' as const, content: '../../etc/passwd' } }, undefined],
  ['artifact.link-outside', { esc: { mode: '120000' as const, content: '/etc/passwd' } }, undefined],
  [
    'artifact.lfs-pointer',
    { 'a.png': 'version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n' },
    undefined,
  ],
  ['artifact.submodule', { vendor: { mode: '160000' as const, content: '' } }, undefined],
  ['artifact.lock-missing', { 'package.json': '{"dependencies":{"ms":"2"}}' }, undefined],
  ['artifact.serverless-malformed', yml('functions: ['), {}],
  ['artifact.serverless-malformed', yml('functions: {}'), {}],
  ['artifact.serverless-malformed', yml('functions: { f: { handler: index } }'), {}],
  ['artifact.serverless-plugin', yml('functions: { f: { handler: index.h } }\nplugins: [serverless-esbuild]'), {}],
  ['artifact.serverless-runtime', yml('functions: { f: { handler: index.h, runtime: python3.12 } }'), {}],
  ['artifact.serverless-runtime', yml('functions: { f: { handler: index.h, runtime: nodejs22.x } }'), { node: '24' }],
  [
    'artifact.serverless-architecture',
    yml('provider: { architecture: arm64 }\nfunctions: { f: { handler: index.h } }'),
    {},
  ],
  ['artifact.serverless-malformed', yml('functions: ${file(functions.yml)}'), {}],
  ['artifact.serverless-unsupported', yml('functions: { f: { handler: "${self:custom.h}.h" } }'), {}],
  ['artifact.serverless-unsupported', yml('functions: { f: { image: x } }'), {}],
  ['artifact.serverless-unsupported', yml('layers: { l: { path: l } }\nfunctions: { f: { handler: index.h } }'), {}],
  [
    'artifact.serverless-unsupported',
    yml("package: { patterns: ['../shared/**'] }\nfunctions: { f: { handler: index.h } }"),
    {},
  ],
  [
    'artifact.serverless-unsupported',
    yml("package: { patterns: ['!(a)'] }\nfunctions: { f: { handler: index.h } }"),
    {},
  ],
])('%s: %j with %j', async (code, more, definition) => {
  await expect(build(functions(more), definition === undefined ? {} : { definition })).rejects.toMatchObject({
    code,
  });
});

const INDEX = 'exports.handler = async () => 1;\n';

function yml(text: string) {
  return { 'serverless.yml': `service: s\n${text}\n` };
}

function functions(more: Parameters<typeof sourceOf>[0] = {}): SourceTree {
  return sourceOf({ 'index.js': INDEX, ...more });
}

interface Variation {
  readonly definition?: Record<string, unknown>;
  readonly cacheDirectory?: string;
  readonly repository?: string;
  readonly bucket?: BlobPlace | null;
}

async function build(source: SourceTree, variation: Variation = {}) {
  const { cacheDirectory = join(folder, 'one'), repository = 'shop/thumbnails', bucket = null } = variation;
  const builder = serverlessBuilder({ ...nodeParts({ images, cacheDirectory }), bucket });
  const definition = builder.definition.parse(
    variation.definition ?? { functions: { f: { handler: 'index.handler' } } },
  );
  const [reference = ''] = await builder.baseReferences(definition, source);
  const { digest } = await builder.build({
    definition,
    source: await builder.inputs(definition, source),
    platform,
    repository,
    pins: { [reference]: nodeBasePin(reference, platform) as Digest },
    parents: {},
    log: () => undefined,
    signal: new AbortController().signal,
  });
  const manifest = await images.manifest(repository, digest);
  const code = readFunctionManifest(manifest?.bytes ?? Buffer.from('{}'));
  const at = bucket ?? images;
  const zips = new Map<string, LayerItem[]>();
  for (const zip of code?.zips ?? [])
    zips.set(zip.title, readZip(await buffer(await at.readBlob(repository, zip.digest))));
  return { digest, code, zips };
}

/** The service as git would have it. */
async function serviceOnDisk(): Promise<SourceTree> {
  const files: Record<string, Parameters<typeof sourceOf>[0][string]> = {};
  for (const entry of await readdir(service, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const place = join(entry.parentPath, entry.name);
    const path = place.slice(service.length + 1);
    if (entry.isSymbolicLink()) files[path] = { mode: '120000', content: await readlink(place) };
    else {
      const isExecutable = ((await lstat(place)).mode & 0o100) !== 0;
      files[path] = { mode: isExecutable ? '100755' : '100644', content: await readFile(place) };
    }
  }
  return sourceOf(files);
}

/** Mode and content of each path, a link as what it leads to: osls follows links, and we keep them. */
async function listingOf(items: readonly LayerItem[] = []): Promise<Record<string, readonly string[]>> {
  const byPath = new Map(items.map((item) => [item.path, item]));
  const listed = await Promise.all(
    items.map(async ({ path }) => {
      let item = byPath.get(path);
      if (item?.kind === 'symlink') item = byPath.get(posix.join(posix.dirname(path), item.target));
      if (item?.kind !== 'file') throw new Error(`${path} leads nowhere.`);
      const hash = createHash('sha256')
        .update(await item.read())
        .digest('hex');
      return [path, [item.executable ? '100755' : '100644', hash]] as const;
    }),
  );
  return Object.fromEntries(listed);
}

/** npm leaves a note for itself, which we leave out. */
function withoutNpmsNotes(listing: Record<string, readonly string[]> = {}): Record<string, readonly string[]> {
  const { 'node_modules/.package-lock.json': _, ...rest } = listing;
  return rest;
}
