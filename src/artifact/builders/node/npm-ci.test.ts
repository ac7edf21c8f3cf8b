import { mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';

import { bwrapLauncher } from '../../../container/process/bwrap.ts';
import { taskRunner } from '../../../container/process/task-runner.ts';
import { ensureRootfs } from '../../../container/rootfs/unpack.ts';
import type { RunSpec, TaskRunner } from '../../../container/runtime.ts';
import type { Digest } from '../../../lib/digest.ts';
import { noSmallDisk, smallDisk } from '../../../lib/testing/small-disk.ts';
import { readTar } from '../../oci/tar-reader.ts';
import { memoryImageStore } from '../../testing/memory-image-store.ts';
import { sourceOf } from '../../testing/source-of.ts';
import { createNodeBuilder, nodeBasePin } from './create.ts';
import type { NodeBuilderOptions } from './create.ts';

const CACHE = 'node_modules/.cache/towpath-node-builder';
/** npm itself finds room in it, what it fetches does not. */
const FOR_NPM_ALONE_BYTES = 24_000_000;
const platform = 'linux/amd64';
const pins = { 'towpath:node-22': nodeBasePin('towpath:node-22', platform) as Digest };
const images = memoryImageStore();
const specs: RunSpec[] = [];

let folder = '';
let rootfs = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-npm-ci-'));
  rootfs = join(folder, 'rootfs');
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('install scripts run inside the base image, and what they wrote is in the layer', async () => {
  const source = sourceOf({
    'package.json': fresh(await readFile('fixtures/npm-lock/native/package.json', 'utf8')),
    'package-lock.json': await readFile('fixtures/npm-lock/native/package-lock.json', 'utf8'),
    'server.js': '1',
  });
  const { built, files, log } = await build(source);
  expect(built.isolation).toBe('bwrap');
  expect(log.join('\n')).toContain('esbuild has an install script');
  // Its install script puts the native program in the place of the script that starts it.
  expect(files.get('app/node_modules/esbuild/bin/esbuild')?.body.toString('latin1', 1, 4)).toBe('ELF');
  expect(files.has('app/node_modules/sharp/package.json')).toBe(true);
  expect([...files.keys()].filter((path) => path.endsWith('.package-lock.json'))).toEqual([]);
  expect(built.materials.map(({ uri }) => uri)).toContain('pkg:npm/%40esbuild/linux-x64@0.24.2');
}, 300_000);

test('workspaces are linked to folders that the source layer brings', async () => {
  const source = sourceOf({
    'package.json': fresh('{"name":"w","version":"1.0.0","workspaces":["packages/a"],"dependencies":{"a":"*"}}'),
    'package-lock.json': JSON.stringify({
      name: 'w',
      version: '1.0.0',
      lockfileVersion: 3,
      packages: {
        '': { name: 'w', version: '1.0.0', workspaces: ['packages/a'], dependencies: { a: '*' } },
        'node_modules/a': { resolved: 'packages/a', link: true },
        'packages/a': { version: '1.0.0' },
      },
    }),
    'packages/a/package.json': '{"name":"a","version":"1.0.0","scripts":{"postinstall":"echo made > made.txt"}}',
    'server.js': "require('a')",
  });
  const { files } = await build(source);
  expect(files.get('app/node_modules/a')).toMatchObject({ type: '2', target: '../packages/a' });
}, 300_000);

test('a failed npm ci says so and keeps its lines', async () => {
  const source = sourceOf({
    'package.json': '{"name":"w","version":"1.0.0","scripts":{"postinstall":"echo spoken >&2; exit 7"}}',
    'package-lock.json':
      '{"name":"w","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"w","version":"1.0.0"}}}',
  });
  const lines: string[] = [];
  await expect(build(source, {}, lines)).rejects.toMatchObject({ code: 'artifact.npm-failed' });
  expect(lines.join('\n')).toContain('spoken');
}, 300_000);

test.skipIf(noSmallDisk !== null)(
  'npm only warns of files that find no space: no layer is made without them, and a whole one when there is space',
  async () => {
    const cache = join(folder, 'full');
    await mkdir(join(cache, 'work'), { recursive: true });
    for (const name of ['npm', 'debian']) {
      await mkdir(join(CACHE, name), { recursive: true });
      await symlink(resolve(CACHE, name), join(cache, name));
    }
    const disk = smallDisk(400, join(cache, 'work'));
    onTestFinished(() => disk.remove());
    const source = sourceOf({
      'package.json': fresh(await readFile('fixtures/npm-lock/native/package.json', 'utf8')),
      'package-lock.json': await readFile('fixtures/npm-lock/native/package-lock.json', 'utf8'),
      'server.js': '1',
    });
    disk.fill(FOR_NPM_ALONE_BYTES);
    const lines: string[] = [];
    await expect(build(source, { cacheDirectory: cache }, lines)).rejects.toMatchObject({ code: 'disk.full' });
    expect(lines.join('\n')).toContain('ENOSPC');
    disk.free();
    const { files } = await build(source, { cacheDirectory: cache });
    expect(files.get('app/node_modules/esbuild/bin/esbuild')?.body.toString('latin1', 1, 4)).toBe('ELF');
  },
  300_000,
);

test('a token of the server fills the cache, and no install script ever sees it', async () => {
  const source = sourceOf({
    'package.json': fresh(
      '{"name":"w","version":"1.0.0","scripts":{"postinstall":"mkdir -p node_modules/seen; cat /mnt/home/.npmrc > node_modules/seen/npmrc 2>/dev/null; env > node_modules/seen/env; true"}}',
    ),
    'package-lock.json':
      '{"name":"w","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"w","version":"1.0.0"}}}',
  });
  const npm = {
    registry: 'http://127.0.0.1:9/',
    scopes: {},
    authorizations: { '//127.0.0.1:9/': 'Bearer canary-token' },
  };
  const { files, log } = await build(source, { npm }, []);
  expect(files.get('app/node_modules/seen/npmrc')?.body.toString()).toBe('');
  expect(files.get('app/node_modules/seen/env')?.body.toString()).not.toContain('canary');
  expect(JSON.stringify(specs)).not.toContain('canary');
  expect(log.join('\n')).not.toContain('canary');
}, 300_000);

async function build(
  source: ReturnType<typeof sourceOf>,
  more: Partial<NodeBuilderOptions> = {},
  lines: string[] = [],
) {
  const builder = createNodeBuilder({
    images,
    cacheDirectory: CACHE,
    tasks: [recorded(taskRunner(bwrapLauncher(), folder))],
    imageOnMachine: async (_runner, { images: from, repository, digest }) =>
      ensureRootfs(from, repository, digest, { directory: rootfs, host: 'test', platform }),
    ...more,
  });
  const built = await builder.build({
    definition: builder.definition.parse({ start: 'server.js' }),
    source,
    platform,
    repository: 'shop/web',
    pins,
    parents: {},
    log: (line) => lines.push(line),
    signal: new AbortController().signal,
  });
  const manifest = await images.manifest('shop/web', built.digest);
  const { layers } = JSON.parse(String(manifest?.bytes)) as { layers: { digest: Digest }[] };
  const modules = images.blobs.get(`shop/web@${layers.at(-2)?.digest ?? ''}`) ?? Buffer.alloc(0);
  const files = new Map([...readTar(gunzipSync(modules))].map((entry) => [entry.path, entry]));
  return { built, files, log: lines };
}

/** The real runner, and what it was asked. */
function recorded(runner: TaskRunner): TaskRunner {
  return { ...runner, run: async (spec, options) => (specs.push(spec), runner.run(spec, options)) };
}

/** Another file for each run: the cache outlives the tests, and npm is to be run. */
function fresh(packageJson: string): string {
  return `${packageJson}${' '.repeat(1 + (Date.now() % 100_000))}`;
}
