import { addAbortSignal, Readable } from 'node:stream';

import type { Digest } from '../../lib/digest.ts';
import type { BlobPlace, ImageReader, ImageStore } from '../image-store.ts';
import { MANIFEST_MEDIA_TYPE } from './image.ts';
import type { AssembledImage, ImageDescriptor } from './image.ts';

/** Makes sure that the store has a blob in `repository`, at the cost of one question when it has. */
export async function ensureBlob(
  images: Omit<BlobPlace, 'readBlob'>,
  repository: string,
  blob: { readonly digest: Digest; readonly size: number },
  open: () => Promise<() => Readable | Buffer>,
): Promise<'there' | 'written'> {
  if ((await images.hasBlob(repository, blob.digest)) !== null) return 'there';
  await images.writeBlob(repository, { digest: blob.digest, size: blob.size, open: await open() });
  return 'written';
}

/** Where layers are taken from: a repository of some store. */
export interface LayerSource {
  readonly images: ImageReader;
  readonly repository: string;
}

/** Brings the layers of a base into the repository of the image: mounted where the store can, else copied. */
export async function ensureBaseLayers(
  images: ImageStore,
  repository: string,
  layers: readonly ImageDescriptor[],
  from: LayerSource,
): Promise<void> {
  if (from.images === images && from.repository === repository) return;
  await Promise.all(layers.map((layer) => ensureLayer(images, repository, layer, from)));
}

/** One of them, or any other blob; called off, it ends in the midst of it. @returns how it came to be there */
export async function ensureLayer(
  images: ImageStore,
  repository: string,
  { digest, size }: ImageDescriptor,
  from: LayerSource,
  signal?: AbortSignal,
): Promise<'there' | 'mounted' | 'copied'> {
  if ((await images.hasBlob(repository, digest)) !== null) return 'there';
  if (from.images === images && (await images.mountBlob(repository, digest, from.repository))) return 'mounted';
  const open = () => Readable.from(bytesOf(from, digest, signal), { objectMode: false });
  await images.writeBlob(repository, { digest, size, open });
  return 'copied';
}

/** Puts config and manifest; the layers must be there. @param reference a tag, or the digest itself */
export async function pushImage(
  images: ImageStore,
  repository: string,
  image: AssembledImage,
  reference: string = image.digest,
): Promise<Digest> {
  const { config, configDigest, manifest } = image;
  await ensureBlob(images, repository, { digest: configDigest, size: config.length }, async () => () => config);
  return images.putManifest(repository, reference, { mediaType: MANIFEST_MEDIA_TYPE, bytes: manifest });
}

async function* bytesOf(
  from: LayerSource,
  digest: Digest,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted();
  const blob = await from.images.readBlob(from.repository, digest);
  if (signal !== undefined) addAbortSignal(signal, blob);
  for await (const chunk of blob) yield chunk as Uint8Array;
}
