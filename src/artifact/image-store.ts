import type { Readable } from 'node:stream';

import type { Digest } from '../lib/digest.ts';

/** A manifest as it lies in a store: the very bytes, for the digest is over them. */
export interface ImageManifestBytes {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/**
 * Where a builder reads base images from and puts finished ones: the part of a registry that it needs, so that
 * `artifact` need not know `registry`. Any `Registry` fits.
 */
export interface ImageStore extends ImageReader {
  putManifest(
    repository: string,
    reference: string,
    manifest: { readonly mediaType: string; readonly bytes: Buffer },
  ): Promise<Digest>;
  /** @returns the size in bytes, or null when there is none */
  hasBlob(repository: string, digest: Digest): Promise<number | null>;
  /** Does nothing when the blob is there; `open` may be called again for a retry. */
  writeBlob(repository: string, blob: BlobToWrite): Promise<void>;
  /** Cross-repository mount. @returns false when the store would not */
  mountBlob(repository: string, digest: Digest, from: string): Promise<boolean>;
}

/** Where the bytes of blobs rest, manifests apart. Any `Registry` fits, and a bucket. */
export type BlobPlace = Pick<ImageStore, 'hasBlob' | 'readBlob' | 'writeBlob'>;

/** The half of an image store that a base image is read through. */
export interface ImageReader {
  manifest(repository: string, reference: string): Promise<ImageManifestBytes | null>;
  /** The stream ends with an error when its bytes do not have the digest. */
  readBlob(repository: string, digest: Digest): Promise<Readable>;
}

export interface BlobToWrite {
  readonly digest: Digest;
  readonly size: number;
  readonly open: () => Readable | Buffer;
}
