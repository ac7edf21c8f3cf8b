import { access, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import type { Digest } from '../../lib/digest.ts';
import { hexOf, sha256 } from '../../lib/digest.ts';
import { makeWhole } from './folders.ts';
import type { ImageLayer, ImageSource } from './image.ts';
import { type LayerLimits, LayerWriter } from './layer.ts';
import { readLayer } from './read-layer.ts';

export interface TreeOptions {
  /** Where trees that images share lie: on the disk of the images, or they are copied. */
  readonly shared: string;
  readonly limits: LayerLimits;
  readonly signal?: AbortSignal;
}

/** A layer from this size on (compressed) is worth a tree of its own that ends with it: the next image begins there. */
export const HEAVY_BYTES = 4 * 1024 * 1024;

/** Trees that this process is making, by where they will lie. */
const making = new Map<string, Promise<void>>();

/**
 * Lays the layers of an image over each other. What is below the last heavy layer it has in common with other images
 * is unpacked once on a machine: an image of a new commit mostly brings a small layer on top of what is there.
 * @param to is not there yet
 */
export async function layTree(
  source: ImageSource,
  repository: string,
  layers: readonly ImageLayer[],
  to: string,
  options: TreeOptions,
): Promise<void> {
  const below = layers.slice(0, -1).findLastIndex(({ size }) => size >= HEAVY_BYTES) + 1;
  const writer = new LayerWriter(to, options.limits);
  await writer.begin(below === 0 ? null : await sharedTree(source, repository, layers.slice(0, below), options));
  for (const layer of layers.slice(below)) {
    options.signal?.throwIfAborted();
    writer.beginLayer();
    const blob = await source.readBlob(repository, layer.digest);
    await readLayer(blob, layer, (header, content) => writer.write(header, content), options.signal);
  }
  await writer.finish();
}

/** The name of layers laid over each other, as in the OCI image specification (`config.md`, "Layer ChainID"). */
export function chainId(layers: readonly Pick<ImageLayer, 'diffId'>[]): Digest {
  const [first, ...rest] = layers.map(({ diffId }) => diffId);
  if (first === undefined) throw new RangeError('no layer');
  return rest.reduce((chain, diffId) => sha256(`${chain} ${diffId}`), first);
}

/** The tree of the lower layers, made when it is not there; it is read only, and lent to the images that begin with it. */
async function sharedTree(
  source: ImageSource,
  repository: string,
  layers: readonly ImageLayer[],
  options: TreeOptions,
): Promise<string> {
  const final = join(options.shared, hexOf(chainId(layers)));
  const tree = join(final, 'fs');
  // A failure may be of that image alone: this one then tries by itself.
  for (let other = making.get(final); other !== undefined; other = making.get(final))
    await other.catch(() => undefined);
  const work = (async () => {
    const now = new Date();
    await utimes(final, now, now).catch(() => undefined); // says when it was last asked for
    if (await isThere(tree)) return;
    await makeWhole(options.shared, final, (draft) => layTree(source, repository, layers, join(draft, 'fs'), options));
  })();
  making.set(final, work);
  await work.finally(() => making.delete(final));
  return tree;
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
