import type { Readable } from 'node:stream';

import type { Digest } from '../lib/digest.ts';

/** A manifest as it lies in a registry: the very bytes, for a digest is over bytes and JSON is never written again. */
export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** How a descriptor of OCI image-spec 1.1 names content. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string };
}

/** One OCI registry, spoken to by the distribution API 1.1. Every read is checked against its digest. */
export interface Registry {
  /** Host with its port, as it stands in an image reference. */
  readonly host: string;
  /** @returns null when there is none; the digest of the bytes is checked against a digest reference and the header */
  manifest(repository: string, reference: string): Promise<StoredManifest | null>;
  putManifest(repository: string, reference: string, manifest: Omit<StoredManifest, 'digest'>): Promise<Digest>;
  /** Gives a digest one more name: reads its bytes and puts them under the tag. Does nothing when the tag is there already. */
  tag(repository: string, digest: Digest, tag: string): Promise<'tagged' | 'unchanged'>;
  /** @returns the size in bytes, or null when there is none */
  hasBlob(repository: string, digest: Digest): Promise<number | null>;
  /** The stream ends with an error when its bytes do not have the digest. */
  readBlob(repository: string, digest: Digest): Promise<Readable>;
  /** Does nothing when the blob is there; `open` may be called again for a retry. */
  writeBlob(repository: string, blob: { digest: Digest; size: number; open: () => Readable | Buffer }): Promise<void>;
  /** Cross-repository mount. @returns false when the registry would not */
  mountBlob(repository: string, digest: Digest, from: string): Promise<boolean>;
  tags(repository: string): Promise<string[]>;
  deleteManifest(repository: string, reference: string): Promise<void>;
  /** Manifests whose subject is `digest`; by the API, or by the fallback tag where the registry lacks it. */
  referrers(repository: string, digest: Digest, artifactType?: string): Promise<Descriptor[]>;
}
