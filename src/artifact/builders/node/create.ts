import { join, resolve } from 'node:path';

import type { ImageOnMachine, TaskRunner } from '../../../container/runtime.ts';
import type { Digest } from '../../../lib/digest.ts';
import type { Builder } from '../../builder.ts';
import type { ImageStore } from '../../image-store.ts';
import type { LendBase } from '../../lend-base.ts';
import { createLayerCache } from '../../oci/layer-cache.ts';
import { baseLock } from './base/base-lock.ts';
import { aptMirrors, mirrorsFor } from './base/debian-mirror.ts';
import { BASE_REPOSITORY, ensureNodeBase } from './base/node-base.ts';
import type { NodeBaseParts } from './base/node-base.ts';
import type { NodeDefinition } from './definition.ts';
import { lineOfDefaultBase, pinOfDefaultBase } from './found-base.ts';
import type { BasePlace, LocateBase } from './found-base.ts';
import { nodeBuilder } from './node.ts';
import type { NodeBuilderParts } from './node.ts';
import { createNpmCi } from './npm-ci.ts';
import { readNpmConfig } from './npm-config.ts';
import type { NpmConfig } from './npm-config.ts';
import { createTarballs } from './tarballs.ts';

export interface NodeBuilderOptions {
  readonly images: ImageStore;
  /** Layers, tarballs and Debian packages; may be shared by processes and deleted at any time. */
  readonly cacheDirectory: string;
  /** Where bases of the user's own choice rest; without it only the default bases are known. */
  readonly locateBase?: LocateBase;
  /** What can run `npm ci` here, best isolation first. */
  readonly tasks?: readonly TaskRunner[];
  readonly imageOnMachine?: (
    runner: TaskRunner,
    image: BasePlace & { readonly digest: Digest; readonly platform: string },
    signal: AbortSignal,
  ) => Promise<ImageOnMachine>;
  /** npm's own configuration of this machine by default. */
  readonly npm?: NpmConfig;
  /** Mirrors of Debian, besides those of the machine's apt. */
  readonly debianMirrors?: readonly string[];
}

/** The `node` builder with its caches on this machine's disk. */
export function createNodeBuilder(options: NodeBuilderOptions): Builder<NodeDefinition> {
  return nodeBuilder({ ...nodeParts(options), locateBase: options.locateBase ?? (() => null) });
}

/** What `node_modules` are made with, for builders of other kinds. */
export function nodeParts(options: NodeBuilderOptions): Pick<NodeBuilderParts, 'base' | 'npmCi'> {
  const { tasks = [] } = options;
  const base = basePartsOf(options);
  const imageOnMachine = options.imageOnMachine;
  const npmCi = createNpmCi({
    tasks: imageOnMachine === undefined ? [] : tasks,
    imageOnMachine: imageOnMachine ?? (() => Promise.reject(new Error('No runner was given.'))),
    tarball: base.tarball,
    npm: base.npm,
    base,
    lock: baseLock,
    directory: join(resolve(options.cacheDirectory), 'work'),
  });
  return { base, npmCi };
}

/** Lends the default base images to builders of other kinds: puts one into the store, and says where it rests. */
export function nodeBaseLender(options: NodeBuilderOptions): LendBase {
  const parts = basePartsOf(options);
  return async (reference, { pin, platform, log, signal }) => {
    const line = lineOfDefaultBase(reference);
    if (line === null) return null;
    const question = { line, platform, variant: 'runtime' } as const;
    return { repository: BASE_REPOSITORY, digest: await ensureNodeBase(parts, question, pin, log, signal) };
  };
}

function basePartsOf(options: NodeBuilderOptions): NodeBaseParts {
  const { images, debianMirrors = [] } = options;
  const cacheDirectory = resolve(options.cacheDirectory); // it is mounted, and mounts know no relative paths
  return {
    images,
    layers: createLayerCache(join(cacheDirectory, 'layers')),
    tarball: createTarballs(join(cacheDirectory, 'npm')),
    npm: options.npm ?? readNpmConfig(process.env),
    mirrors: mirrorsFor([...debianMirrors, ...aptMirrors()], baseLock.debian.snapshot),
    directory: join(cacheDirectory, 'debian'),
    lock: baseLock,
  };
}

/**
 * The pin of a default base image (`towpath:node-22`), or null when the reference names an image of the user's. It is
 * the same on every machine and needs no network.
 */
export function nodeBasePin(reference: string, platform: string): Digest | null {
  return pinOfDefaultBase(reference, platform, baseLock);
}
