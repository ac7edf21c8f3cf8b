import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { bwrapLauncher } from '../../../container/process/bwrap.ts';
import { taskRunner } from '../../../container/process/task-runner.ts';
import { ensureRootfs } from '../../../container/rootfs/unpack.ts';
import type { Digest } from '../../../lib/digest.ts';
import type { SourceTree } from '../../../git/tree.ts';
import type { BuildRequest } from '../../builder.ts';
import { createLayerCache } from '../../oci/layer-cache.ts';
import { writeLayer } from '../../oci/layer.ts';
import { memoryImageStore } from '../../testing/memory-image-store.ts';
import { sourceOf } from '../../testing/source-of.ts';
import { createNodeBuilder, nodeBasePin } from './create.ts';
import type { NodeBuilderOptions } from './create.ts';

const platform = 'linux/amd64';
const reference = 'towpath:node-22';
const pins = { [reference]: nodeBasePin(reference, platform) as Digest };

const keptAcrossRuns = 'node_modules/.cache/towpath-node-builder';
const images = memoryImageStore();

let folder = '';
let lockfile = '';
let packageJson = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-node-builder-'));
  lockfile = await readFile('fixtures/npm-lock/express-pg/package-lock.json', 'utf8');
  packageJson = await readFile('fixtures/npm-lock/express-pg/package.json', 'utf8');
  await build(shop(), { cacheDirectory: keptAcrossRuns, repository: 'first/base' }); // makes the base image
}, 300_000);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('equal sources give the same digest on machines that share no cache', async () => {
  const one = await build(shop(), { cacheDirectory: join(folder, 'one') });
  const other = await build(shop(), { cacheDirectory: join(folder, 'other'), repository: 'other/web' });
  expect(other.built.digest).toBe(one.built.digest);
  expect(one.built.isolation).toBe('none');
  expect(one.built.materials).toContainEqual(
    expect.objectContaining({ uri: expect.stringMatching(/^pkg:npm\/express@4\./) as string }),
  );
});

test('the same source again uploads nothing and asks little', async () => {
  await build(shop());
  const before = { ...images.counts };
  const again = await build(shop());
  expect(images.counts.uploadedBytes).toBe(before.uploadedBytes);
  expect(again.log.join('\n')).toContain('86 packages straight from the lock file');
});

test('a changed source changes its own layer only', async () => {
  const before = await layersOf(await build(shop()));
  const after = await layersOf(await build(sourceOf({ ...files(), 'server.js': 'console.log(2);\n' })));
  expect(after.slice(0, -1)).toEqual(before.slice(0, -1));
  expect(after.at(-1)).not.toEqual(before.at(-1));
});

test('a changed base takes the same layers along', async () => {
  const before = await layersOf(await build(shop()));
  const other = { from: 'registry.example/other:1' };
  const after = await layersOf(
    await build(shop(), {
      locateBase: () => ({ images, repository: 'first/base' }),
      pins: { 'registry.example/other:1': (await build(shop(), { repository: 'first/base' })).built.digest },
      definition: other,
    }),
  );
  expect(after.slice(-2)).toEqual(before.slice(-2));
  expect(after.length).toBeGreaterThan(before.length);
});

test('a base service that was built anew re-assembles the image: no layer is built or sent again', async () => {
  const bases = await Promise.all(
    ['one', 'other'].map((text) => build(sourceOf({ 'server.js': text }), { repository: 'shop/node-base' })),
  );
  const upon = (index: number) => {
    const digest = bases[index]?.built.digest as Digest;
    const parents = { 'node-base': { repository: 'shop/node-base', digest } };
    return build(shop(), { definition: { from: 'node-base' }, parents, pins: {}, repository: 'shop/upon' });
  };
  const before = await upon(0);
  const sent = images.counts.uploadedBytes;
  const after = await upon(1);
  expect(after.built.digest).not.toBe(before.built.digest);
  expect(images.counts.uploadedBytes - sent).toBeLessThan(20_000); // a configuration and a manifest
  const [one, other] = [await layersOf(before), await layersOf(after)];
  expect(other.slice(-2)).toEqual(one.slice(-2));
  expect(other.slice(0, -2)).toEqual(await layersOf({ ...(bases[1] as (typeof bases)[0]) }));
  const digest = bases[1]?.built.digest;
  expect(after.built.materials).toContainEqual({ uri: `oci://shop/node-base@${digest}`, digest });
});

test('the image says how it starts, and nothing of time, commit or machine', async () => {
  const { built } = await build(shop(), { definition: { port: 3000 } });
  const manifest = await images.manifest('shop/web', built.digest);
  const { config } = JSON.parse(String(manifest?.bytes)) as { config: { digest: Digest } };
  const text = String(images.blobs.get(`shop/web@${config.digest}`));
  expect(JSON.parse(text)).toMatchObject({
    architecture: 'amd64',
    config: { Cmd: ['node', 'server.js'], WorkingDir: '/app', User: '65532:65532', ExposedPorts: { '3000/tcp': {} } },
  });
  expect(text).not.toMatch(/"created":"(?!1970)|revision|hostname/i);
});

test('the image runs as nobody, with its packages, authorities and time zones', async () => {
  const script = `
    const zone = new Intl.DateTimeFormat('en', { timeZone: 'Asia/Tokyo', hour: 'numeric' }).format(0);
    const bundle = require('fs').readFileSync('/etc/ssl/certs/ca-certificates.crt', 'utf8').split('BEGIN').length > 100;
    console.log(typeof require('express'), zone, bundle, require('os').userInfo().username, process.cwd());`;
  const { built, repository } = await build(shop(), { definition: { start: ['node', '-e', script] } });
  const image = await ensureRootfs(images, repository, built.digest, { directory: folder, host: 'test', platform });
  const lines: string[] = [];
  const result = await taskRunner(bwrapLauncher(), folder).run(
    { name: 'shop', image, env: {} },
    { log: (line) => lines.push(line), signal: new AbortController().signal, timeoutMs: 60_000 },
  );
  expect(lines).toEqual(['function 9 AM true nonroot /app']);
  expect(result).toEqual({ kind: 'exited', code: 0 });
});

test('one that joins a layer in the making is not harmed when the first is called off', async () => {
  const cache = createLayerCache(join(folder, 'joined'));
  const item = { kind: 'file', path: 'a', executable: false, read: async () => Buffer.from('a') } as const;
  const first = cache.make('key', async () => Promise.reject(new Error('called off')));
  const second = cache.make('key', async (file) => writeLayer([item], file, new AbortController().signal));
  await expect(first).rejects.toThrow('called off');
  expect(await cache.open(await second)).not.toBeNull();
  await cache.prune(0);
  expect(await cache.open(await second)).toBeNull();
});

test('a service without packages has no layer for them', async () => {
  const bare = await build(sourceOf({ 'server.js': '1' }));
  expect((await layersOf(bare)).length).toBe((await layersOf(await build(shop()))).length - 1);
});

test.each([
  ['artifact.lfs-pointer', { 'logo.png': 'version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n' }],
  ['artifact.submodule', { vendor: { mode: '160000' as const, content: '' } }],
  ['artifact.whiteout-name', { 'a/.wh.b': '' }],
  ['artifact.lock-malformed', { 'package.json': '{', 'package-lock.json': '{}' }],
  ['artifact.lock-missing', { 'package.json': '{"dependencies":{"ms":"2"}}' }],
])('%s is refused', async (code, more) => {
  await expect(build(sourceOf({ 'server.js': '1', ...more }))).rejects.toMatchObject({ code });
});

test('names that differ in case only are told', async () => {
  const { log } = await build(sourceOf({ 'Read.me': '1', 'read.me': '2' }));
  expect(log.join('\n')).toContain('differ in case only');
});

test('what needs npm is refused with its reason where nothing can run it', async () => {
  const { packages } = JSON.parse(lockfile) as { packages: Record<string, object> };
  const scripted = { ...packages, 'node_modules/pg': { ...packages['node_modules/pg'], hasInstallScript: true } };
  const source = sourceOf({
    ...files(),
    'package-lock.json': JSON.stringify({ lockfileVersion: 3, packages: scripted }),
  });
  await expect(build(source)).rejects.toMatchObject({
    code: 'artifact.npm-needed',
    what: expect.stringContaining('pg has an install script') as string,
  });
  expect((await build(source, { definition: { installScripts: 'ignore' } })).built.isolation).toBe('none');
});

test('filters keep files out of the image and of the key alike', async () => {
  const builder = createNodeBuilder({ images, cacheDirectory: join(folder, 'one') });
  const definition = builder.definition.parse({ start: 'server.js', exclude: ['docs', '*.md'] });
  const source = sourceOf({ ...files(), 'docs/a.txt': '', 'readme.md': '', 'node_modules/x/index.js': '' });
  const { entries } = await builder.inputs(definition, source);
  expect(entries.map(({ path }) => path)).toEqual(shop().entries.map(({ path }) => path));
});

test('a service of a monorepo takes its part, with what npm reads, and nothing of its neighbours', async () => {
  const builder = createNodeBuilder({ images, cacheDirectory: join(folder, 'one') });
  const definition = builder.definition.parse({ start: 'services/web/main.js', include: ['services/web', 'libs'] });
  const source = sourceOf({
    'package.json': '{}',
    'package-lock.json': '{}',
    'libs/money.js': '',
    'services/web/main.js': '',
    'services/worker/main.js': '',
    'README.md': '',
  });
  const { entries } = await builder.inputs(definition, source);
  expect(entries.map(({ path }) => path).sort()).toEqual([
    'libs/money.js',
    'package-lock.json',
    'package.json',
    'services/web/main.js',
  ]);
});

test('layers that this machine lost are made again with the same bytes', async () => {
  const first = await build(shop());
  await rm(join(folder, 'one', 'layers', 'blobs'), { recursive: true });
  const again = await build(shop(), { repository: 'shop/elsewhere' });
  expect(again.built.digest).toBe(first.built.digest);
});

interface Variation extends Partial<NodeBuilderOptions> {
  readonly repository?: string;
  readonly definition?: Record<string, unknown>;
  readonly pins?: Record<string, Digest>;
  readonly parents?: BuildRequest<unknown>['parents'];
}

async function build(source: SourceTree, variation: Variation = {}) {
  const { repository = 'shop/web', definition = {}, ...options } = variation;
  const builder = createNodeBuilder({ images, cacheDirectory: join(folder, 'one'), ...options });
  const log: string[] = [];
  const built = await builder.build({
    definition: builder.definition.parse({ start: 'server.js', ...definition }),
    source,
    platform,
    repository,
    pins: variation.pins ?? pins,
    parents: variation.parents ?? {},
    log: (line) => log.push(line),
    signal: new AbortController().signal,
  });
  return { built, log, repository };
}

async function layersOf({ built, repository }: Awaited<ReturnType<typeof build>>): Promise<string[]> {
  const manifest = await images.manifest(repository, built.digest);
  const { layers } = JSON.parse(String(manifest?.bytes)) as { layers: { digest: string }[] };
  return layers.map(({ digest }) => digest);
}

function files() {
  return {
    'package.json': packageJson,
    'package-lock.json': lockfile,
    'server.js': 'console.log(1);\n',
    'bin/tool': { mode: '100755' as const, content: '#!/usr/bin/env node\n' },
    esc: { mode: '120000' as const, content: '../../etc/passwd' },
  };
}

function shop(): SourceTree {
  return sourceOf(files());
}
