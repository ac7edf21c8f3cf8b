import type { Readable } from 'node:stream';

import { ArtifactError } from '../../artifact-error.ts';
import type { BlobPlace } from '../../image-store.ts';
import { writeLayer } from '../../oci/layer.ts';
import type { Layer, LayerItem } from '../../oci/layer.ts';
import type { LayerCache } from '../../oci/layer-cache.ts';
import { ensureBlob } from '../../oci/push.ts';

/** A layer, and how to make it once more when the registry lacks it and this machine has lost it. */
export interface MadeLayer extends Layer {
  /** For people: `source`, `node_modules`. */
  readonly summary: string;
  readonly key: string;
  readonly write: (file: string) => Promise<Layer>;
}

/** What the layer of `key` is: from this machine's records, or written now. */
export async function makeLayer(
  layers: LayerCache,
  layer: { readonly summary: string; readonly key: string; readonly write: (file: string) => Promise<Layer> },
): Promise<MadeLayer> {
  const found = (await layers.find(layer.key)) ?? (await layers.make(layer.key, layer.write));
  return { ...found, ...layer };
}

/** The usual way to write a layer: from items that are gathered when they are needed. */
export function fromItems(items: () => Promise<LayerItem[]>, signal: AbortSignal): (file: string) => Promise<Layer> {
  return async (file) => writeLayer(await items(), file, signal);
}

/** @throws ArtifactError `artifact.layer-lost` when the record names bytes that nobody has, and that come out otherwise now */
export async function pushLayer(
  images: BlobPlace,
  layers: LayerCache,
  repository: string,
  layer: MadeLayer,
): Promise<void> {
  await ensureBlob(images, repository, layer, () => openLayer(layers, layer));
}

/** Its bytes, made again when this machine has lost them. @throws ArtifactError `artifact.layer-lost` */
export async function openLayer(layers: LayerCache, layer: MadeLayer): Promise<() => Readable> {
  const kept = await layers.open(layer);
  if (kept !== null) return kept;
  const again = await layers.make(layer.key, layer.write);
  const open = again.digest === layer.digest ? await layers.open(again) : null;
  if (open === null) throw lost(layer);
  return open;
}

function lost(layer: MadeLayer): ArtifactError {
  return new ArtifactError({
    code: 'artifact.layer-lost',
    what: `The first bytes of the ${layer.summary} layer are gone, and it came out different when it was made again.`,
    fix: 'Build again.',
  });
}
