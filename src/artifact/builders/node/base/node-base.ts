import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

import { hashOfJson, hexOf } from '../../../../lib/digest.ts';
import type { Digest } from '../../../../lib/digest.ts';
import type { LogLine } from '../../../../lib/log.ts';
import { ArtifactError } from '../../../artifact-error.ts';
import type { ImageStore } from '../../../image-store.ts';
import { writeLayer } from '../../../oci/layer.ts';
import type { Layer, LayerItem } from '../../../oci/layer.ts';
import type { LayerCache } from '../../../oci/layer-cache.ts';
import { historyEntry, layerDescriptor, writeImage } from '../../../oci/image.ts';
import type { AssembledImage } from '../../../oci/image.ts';
import { ensureBlob, pushImage } from '../../../oci/push.ts';
import type { NpmConfig } from '../npm-config.ts';
import { packageFiles } from '../package-files.ts';
import type { FetchTarball } from '../tarballs.ts';
import type { BaseLock, DebianFile, NpmFile } from './base-lock.ts';
import { readDebianPackage } from './debian-package.ts';
import { fetchDebianFile } from './debian-mirror.ts';
import { packageItems, rootItems } from './root-files.ts';

/** Where the default base images rest, next to the images of the projects. */
export const BASE_REPOSITORY = 'towpath/node';

/** Raised when the same lock is to give another image than before. */
const RECIPE_VERSION = 1;

const unzip = promisify(gunzip);

export interface NodeBaseParts {
  readonly images: ImageStore;
  readonly layers: LayerCache;
  readonly tarball: FetchTarball;
  readonly npm: NpmConfig;
  readonly mirrors: readonly string[];
  /** Keeps fetched Debian packages. */
  readonly directory: string;
  readonly lock: BaseLock;
}

export interface BaseQuestion {
  /** `22` */
  readonly line: string;
  readonly platform: string;
  /** `build` has a shell besides, for `npm ci` and its scripts. */
  readonly variant: 'runtime' | 'build';
}

/** The identity that the lock gives to a base image: the digest of its configuration, so no compressor has a say. */
export function lockedBase(lock: BaseLock, { line, platform, variant }: BaseQuestion): Digest | null {
  const node = lock.platforms[platform]?.nodes[line];
  if (!node) return null;
  return variant === 'build' ? node.buildImage : node.image;
}

/**
 * Puts a default base image into the store, unless it is there: a few Debian packages and Node, unpacked without
 * running anything. Its tag is its identity, so a pin of last year is found as long as the store keeps it.
 * @param pin the identity that the build was promised
 * @returns the digest of its manifest
 * @throws ArtifactError `artifact.base-gone` when the pin is neither in the store nor what this Towpath can make
 */
export async function ensureNodeBase(
  parts: NodeBaseParts,
  question: BaseQuestion,
  pin: Digest,
  log: LogLine,
  signal: AbortSignal,
): Promise<Digest> {
  const { images, lock } = parts;
  const tag = `id-${hexOf(pin).slice(0, 40)}`;
  const found = await images.manifest(BASE_REPOSITORY, tag);
  if (found !== null) return found.digest;
  if (lockedBase(lock, question) !== pin) throw gone(question);
  log(`makes the base image of Node ${question.line} for ${question.platform} (once)`);
  const { image, layers } = await makeNodeBase(parts, question, signal);
  if (image.configDigest !== pin) throw irreproducible(question);
  for (const layer of layers)
    await ensureBlob(images, BASE_REPOSITORY, layer, async () => {
      const open = await parts.layers.open(layer);
      if (open === null) throw gone(question);
      return open;
    });
  return pushImage(images, BASE_REPOSITORY, image, tag);
}

/** Makes the layers and the image, in the cache of this machine alone. */
export async function makeNodeBase(
  parts: NodeBaseParts,
  { line, platform, variant }: BaseQuestion,
  signal: AbortSignal,
): Promise<{ image: AssembledImage; layers: readonly Layer[] }> {
  const locked = parts.lock.platforms[platform];
  const node = locked?.nodes[line];
  if (!locked || !node) throw unknownLine(line, platform);
  const layers = [
    { summary: 'towpath base: debian', ...(await debianLayer(parts, locked.runtime, 'root', signal)) },
    { summary: `towpath base: node ${node.version}`, ...(await nodeLayer(parts, node, signal)) },
    ...(variant === 'build'
      ? [{ summary: 'towpath base: tools', ...(await debianLayer(parts, locked.build, 'tools', signal)) }]
      : []),
  ];
  const [os = '', architecture = ''] = platform.split('/');
  const image = writeImage(
    {
      architecture,
      os,
      config: {
        User: '65532:65532',
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', `NODE_VERSION=${node.version}`],
        Cmd: ['node'],
        WorkingDir: '/',
      },
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      history: layers.map(({ summary }) => historyEntry(summary)),
    },
    layers.map((layer) => layerDescriptor(layer)),
  );
  return { image, layers };
}

async function debianLayer(
  parts: NodeBaseParts,
  files: readonly DebianFile[],
  what: 'root' | 'tools',
  signal: AbortSignal,
): Promise<Layer> {
  const { mirrors, directory } = parts;
  const key = hashOfJson({ recipe: RECIPE_VERSION, what, files: files.map(({ sha256 }) => sha256) });
  return cached(parts.layers, key, signal, async () => {
    await mkdir(directory, { recursive: true });
    const packages = await Promise.all(
      files.map(async (file) => readDebianPackage(await fetchDebianFile(file, { mirrors, directory, signal }))),
    );
    return what === 'root' ? rootItems(packages) : [...packages.flatMap((pkg) => packageItems(pkg)), ...busybox()];
  });
}

async function nodeLayer(parts: NodeBaseParts, node: NpmFile, signal: AbortSignal): Promise<Layer> {
  const key = hashOfJson({ recipe: RECIPE_VERSION, what: 'node', integrity: node.integrity });
  return cached(parts.layers, key, signal, async () => {
    const files = packageFiles(await unzip(await parts.tarball(node, parts.npm, signal)));
    const wanted = new Map([
      ['bin/node', 'usr/local/bin/node'],
      ['LICENSE', 'usr/share/doc/node/LICENSE'],
    ]);
    return [...wanted].flatMap(([from, path]): LayerItem[] => {
      const body = files.get(from)?.body;
      return body ? [{ kind: 'file', path, executable: from === 'bin/node', read: async () => body }] : [];
    });
  });
}

async function cached(
  layers: LayerCache,
  key: string,
  signal: AbortSignal,
  items: () => Promise<LayerItem[]>,
): Promise<Layer> {
  const found = await layers.find(key);
  if (found !== null && (await layers.open(found)) !== null) return found;
  return layers.make(key, async (file) => writeLayer(await items(), file, signal));
}

/** The commands that scripts of packages use, all of them one program. */
function busybox(): LayerItem[] {
  const commands =
    `[ ash awk basename cat chmod chown cp cut date dirname echo env expr false find grep gunzip gzip head id install ln ls
    mkdir mktemp mv nproc pwd readlink realpath rm rmdir sed sh sleep sort stat tail tar tee test touch tr true uname uniq
    wc which whoami xargs`.split(/\s+/);
  return commands.map((name) => ({ kind: 'symlink', path: `usr/bin/${name}`, target: 'busybox' }));
}

function gone({ line, platform }: BaseQuestion): ArtifactError {
  return new ArtifactError({
    code: 'artifact.base-gone',
    what: `The pinned base image of Node ${line} for ${platform} is no longer in the store, and this version of Towpath makes another one.`,
    fix: 'Run `towpath base refresh`: services that use it are then built anew.',
  });
}

function irreproducible({ line, platform }: BaseQuestion): ArtifactError {
  return new ArtifactError({
    code: 'artifact.base-irreproducible',
    what: `The base image of Node ${line} for ${platform} did not come out as its lock file says.`,
    fix: 'Report it: equal packages must give an equal image. A base image of your own (`from`) works meanwhile.',
  });
}

function unknownLine(line: string, platform: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.base-unknown',
    what: `There is no default base image of Node ${line} for ${platform}.`,
    fix: 'Choose another line with `node`, or name an image with `from`.',
  });
}
