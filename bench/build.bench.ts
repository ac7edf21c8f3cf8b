import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { baseLock } from '../src/artifact/builders/node/base/base-lock.ts';
import { ensureNodeBase, lockedBase } from '../src/artifact/builders/node/base/node-base.ts';
import { aptMirrors, mirrorsFor } from '../src/artifact/builders/node/base/debian-mirror.ts';
import { createNodeBuilder } from '../src/artifact/builders/node/create.ts';
import { readNpmConfig } from '../src/artifact/builders/node/npm-config.ts';
import { packageFiles } from '../src/artifact/builders/node/package-files.ts';
import { createTarballs } from '../src/artifact/builders/node/tarballs.ts';
import { readBaseImage } from '../src/artifact/oci/base-image.ts';
import { assembleImage } from '../src/artifact/oci/image.ts';
import { writeLayer } from '../src/artifact/oci/layer.ts';
import type { LayerItem } from '../src/artifact/oci/layer.ts';
import { createLayerCache } from '../src/artifact/oci/layer-cache.ts';
import { pushImage } from '../src/artifact/oci/push.ts';
import { sourceOf } from '../src/artifact/testing/source-of.ts';
import type { Digest } from '../src/lib/digest.ts';
import { createEmbeddedRegistry } from '../src/registry/embedded/embedded.ts';
import type { Registry } from '../src/registry/registry.ts';
import { buildah, buildkit } from './build-contenders.ts';
import type { OtherBuilder } from './build-contenders.ts';
import { alternate, median } from './figure.ts';
import type { Figure } from './figure.ts';
import { startNpmMirror } from './npm-mirror.ts';

const PLATFORM = 'linux/amd64';
const BASE = 'bench/base';
/** The dependency that changes: it has many versions and needs nothing. */
const BUMPED = 'left-pad';
const VERSIONS = ['1.0.0', '1.0.1', '1.0.2', '1.1.0', '1.1.1', '1.1.2', '1.1.3', '1.2.0', '1.3.0'];
const ROUNDS = { cold: 3, bump: 3, source: 8, unchanged: 30 };

/**
 * The `node` builder in the server against `docker build` with BuildKit and `buildah bud --layers`: the same base, the
 * same three layers, the same npm mirror, each with its push to the same registry.
 */
export async function run(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-bench-build-'));
  const kept = join(process.cwd(), 'node_modules/.cache/towpath-bench/npm-mirror');
  const mirror = await startNpmMirror(readNpmConfig(process.env).registry, kept);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const embedded = await createEmbeddedRegistry({ directory: join(directory, 'registry'), host });
  server.on('request', (request, response) => void embedded.handle(request, response));
  const others: OtherBuilder[] = [];
  try {
    const base = await pushBase(embedded.registry(), directory, mirror.url);
    for (const made of [await buildkit(directory), await buildah(directory)]) {
      if (made === null) console.error('\n*** NOT MEASURED: BuildKit and buildah need root and their packages. ***\n');
      else others.push(made);
    }
    for (const other of others) await other.pullBase(`${host}/${BASE}@${base}`);
    return await measure({ directory, host, base, registry: embedded.registry(), mirror: mirror.url, others });
  } finally {
    for (const other of others) await other.stop();
    mirror.stop();
    server.closeAllConnections();
    server.close();
    await rm(directory, { recursive: true, force: true });
  }
}

interface Place {
  readonly directory: string;
  readonly host: string;
  readonly base: Digest;
  readonly registry: Registry;
  readonly mirror: string;
  readonly others: readonly OtherBuilder[];
}

async function measure(place: Place): Promise<Figure[]> {
  const { directory, host, base, registry, mirror, others } = place;
  let cache = join(directory, 'cache-0');
  let round = 0;
  let app = await writeApp(place, VERSIONS[0] ?? '', 0);
  const repository = () => `bench/app-${round}`;
  const ours = async (): Promise<void> => {
    const builder = createNodeBuilder({
      images: registry,
      cacheDirectory: cache,
      npm: { registry: mirror, scopes: {}, authorizations: {} },
      locateBase: () => ({ images: registry, repository: BASE }),
    });
    await builder.build({
      definition: builder.definition.parse({ start: 'server.js', from: 'bench', installScripts: 'ignore' }),
      source: sourceOf(app.files),
      platform: PLATFORM,
      repository: repository(),
      pins: { bench: base },
      parents: {},
      log: () => undefined,
      signal: new AbortController().signal,
    });
  };
  const contenders = (prepareOurs: () => Promise<void>, prepare: (other: OtherBuilder) => Promise<void>) => [
    { name: 'towpath', prepare: prepareOurs, run: ours },
    ...others.map((other) => ({
      name: other.name,
      prepare: async () => prepare(other),
      run: async () => other.build(app.folder, `${host}/${repository()}:latest`),
    })),
  ];
  /** Rounds of one, each with its own change: `alternate` cannot tell when a round begins. */
  const rounds = async (count: number, change: () => Promise<void>, list: ReturnType<typeof contenders>) => {
    const times: Record<string, number[]> = {};
    for (let at = 0; at < count; at++) {
      await change();
      for (const [name, [ms = 0]] of Object.entries(await once(list, at))) (times[name] ??= []).push(ms);
    }
    return times;
  };
  const nothing = async () => undefined;

  const cold = await rounds(
    ROUNDS.cold,
    async () => {
      round += 1;
      app = await writeApp(place, VERSIONS[0] ?? '', round);
    },
    contenders(
      async () => {
        cache = join(directory, `cache-${round}`);
      },
      async (other) => other.forget(),
    ),
  );
  let version = 0;
  const bump = await rounds(
    ROUNDS.bump,
    async () => {
      version += 1;
      app = await writeApp(place, VERSIONS[version] ?? '', round);
    },
    contenders(nothing, nothing),
  );
  let change = 1000;
  const source = await rounds(
    ROUNDS.source,
    async () => {
      change += 1;
      app = await writeApp(place, VERSIONS[version] ?? '', change);
    },
    contenders(nothing, nothing),
  );
  const unchanged = await alternate(ROUNDS.unchanged, [{ name: 'towpath', run: ours }]);
  return [
    ...compared('build.cold', cold, { buildkit: 5, buildah: 5 }),
    ...compared('build.bump', bump, { buildkit: 5, buildah: 5 }),
    ...compared('build.source', source, { buildkit: 3, buildah: 8 }),
    { name: 'build.unchanged.p50', value: median(unchanged.towpath), unit: 'ms', goal: { op: '<=', value: 50 } },
  ];
}

/** One round, each contender once, another one first each time. */
async function once(
  list: readonly { name: string; prepare: () => Promise<unknown>; run: () => Promise<unknown> }[],
  at: number,
): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = {};
  for (const index of list.keys()) {
    const contender = list[(index + at) % list.length];
    if (contender === undefined) continue;
    await contender.prepare();
    const start = performance.now();
    await contender.run();
    times[contender.name] = [performance.now() - start];
  }
  return times;
}

function compared(name: string, times: Record<string, number[]>, goals: Record<string, number>): Figure[] {
  const ours = median(times['towpath'] ?? []);
  return Object.entries(times).flatMap(([contender, values]): Figure[] => {
    const theirs = median(values);
    const own: Figure = { name: `${name}.${contender}.p50`, value: theirs, unit: 'ms' };
    const goal = goals[contender];
    if (goal === undefined) return [own];
    return [own, { name: `${name}.vs-${contender}`, value: theirs / ours, unit: 'x', goal: { op: '>=', value: goal } }];
  });
}

/** The app as a folder for the others and as git objects for us: 217 packages, 300 files of source. */
async function writeApp(place: Place, version: string, change: number) {
  const { directory, host, base, mirror } = place;
  const folder = join(directory, 'app');
  const set = 'fixtures/npm-lock/jest-eslint';
  const packageJson = JSON.parse(await readFile(`${set}/package.json`, 'utf8')) as { dependencies: object };
  const lock = JSON.parse(await readFile(`${set}/package-lock.json`, 'utf8')) as {
    packages: Record<
      string,
      { name?: string; version: string; resolved?: string; integrity?: string; dependencies?: object }
    >;
  };
  for (const [location, entry] of Object.entries(lock.packages)) {
    if (location === '') continue;
    const name = entry.name ?? location.slice(location.lastIndexOf('node_modules/') + 'node_modules/'.length);
    entry.resolved = `${mirror}${name}/-/${name.slice(name.indexOf('/') + 1)}-${entry.version}.tgz`;
  }
  const dependencies = { ...packageJson.dependencies, [BUMPED]: version };
  Object.assign(packageJson, { dependencies });
  Object.assign(lock.packages[''] ?? {}, { dependencies });
  const response = await fetch(`${mirror}${BUMPED}`);
  const { versions } = (await response.json()) as { versions: Record<string, { dist: { integrity: string } }> };
  lock.packages[`node_modules/${BUMPED}`] = {
    version,
    resolved: `${mirror}${BUMPED}/-/${BUMPED}-${version}.tgz`,
    integrity: versions[version]?.dist.integrity ?? '',
  };
  const files: Record<string, string> = {
    'package.json': JSON.stringify(packageJson),
    'package-lock.json': JSON.stringify(lock),
    'server.js': `console.log(${change});\n`,
  };
  for (let at = 0; at < 300; at++) files[`src/part-${at}.js`] = `// ${'x'.repeat(2000)}\nexport const part = ${at};\n`;
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const dockerfile = [
    `FROM ${host}/${BASE}@${base}`,
    'USER 0:0',
    'WORKDIR /app',
    'COPY package.json package-lock.json ./',
    `RUN npm ci --ignore-scripts --no-audit --no-fund --registry ${mirror}`,
    'COPY . .',
    'CMD ["node", "server.js"]',
  ].join('\n');
  await writeFile(join(folder, 'Dockerfile'), dockerfile);
  await writeFile(join(folder, '.dockerignore'), 'Dockerfile\n.dockerignore\n');
  return { folder, files };
}

/** Node, a shell and npm: the others need them in the base, and all build upon the same one. */
async function pushBase(registry: Registry, directory: string, mirror: string): Promise<Digest> {
  const npm = { registry: mirror, scopes: {}, authorizations: {} };
  const tarball = createTarballs(join(directory, 'base-npm'));
  const signal = new AbortController().signal;
  const parts = {
    images: registry,
    layers: createLayerCache(join(process.cwd(), 'node_modules/.cache/towpath-node-builder/layers')),
    tarball,
    npm,
    mirrors: mirrorsFor(aptMirrors(), baseLock.debian.snapshot),
    directory: join(process.cwd(), 'node_modules/.cache/towpath-node-builder/debian'),
    lock: baseLock,
  };
  const question = { line: '22', platform: PLATFORM, variant: 'build' } as const;
  const pin = lockedBase(baseLock, question);
  if (pin === null) throw new Error('There is no base image for this platform.');
  const digest = await ensureNodeBase(parts, question, pin, () => undefined, signal);
  const content = await readBaseImage(registry, 'towpath/node', digest, PLATFORM);
  const files = packageFiles(gunzipSync(await tarball(baseLock.npm, npm, signal)));
  const items = [...files].map(([path, { body }]): LayerItem => ({
    kind: 'file',
    path: `usr/local/lib/node_modules/npm/${path}`,
    executable: path.startsWith('bin/'),
    read: async () => body,
  }));
  const link = {
    kind: 'symlink',
    path: 'usr/local/bin/npm',
    target: '../lib/node_modules/npm/bin/npm-cli.js',
  } as const;
  const file = join(directory, 'npm.tgz');
  const env = { kind: 'symlink', path: 'usr/bin/env', target: 'busybox' } as const;
  const layer = { ...(await writeLayer([...items, link, env], file, signal)), summary: 'npm' };
  for (const { digest: blob } of content.layers) await registry.mountBlob(BASE, blob, 'towpath/node');
  const bytes = await readFile(file);
  await registry.writeBlob(BASE, { digest: layer.digest, size: layer.size, open: () => bytes });
  const image = assembleImage(content, [layer], { command: ['node'], workdir: '/', env: {} });
  return pushImage(registry, BASE, image, 'latest');
}
