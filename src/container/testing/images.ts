import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';

import { type Header, pack } from 'tar-stream';

import { type Digest, sha256 } from '../../lib/digest.ts';
import type { ImageSource } from '../rootfs/image.ts';

export type TestEntry = Partial<Header> & { readonly name: string; readonly content?: string | Buffer };

/** A registry in memory for images written down entry by entry; it keeps the contract of `ImageSource`. */
export interface TestImages extends ImageSource {
  readonly host: string;
  /** @returns the digest of the manifest */
  add(repository: string, image: TestImage): Promise<Digest>;
  /** Takes an image that was made elsewhere. */
  take(image: {
    readonly digest: Digest;
    readonly manifest: Buffer;
    readonly blobs: ReadonlyMap<Digest, Buffer>;
  }): void;
  forget(digest: Digest): void;
  /** The blobs that were read, one after another. */
  readonly read: readonly Digest[];
}

export interface TestImage {
  readonly layers: readonly (readonly TestEntry[])[];
  readonly config?: { Entrypoint?: string[]; Cmd?: string[]; Env?: string[]; WorkingDir?: string; User?: string };
  readonly compression?: 'gzip' | 'zstd' | 'none';
  /** Replaces the true ones, to make a lying image. */
  readonly diffIds?: readonly Digest[];
}

export function testImages(): TestImages {
  const blobs = new Map<string, Buffer>();
  const put = (bytes: Buffer): Digest => {
    const digest = sha256(bytes);
    blobs.set(digest, bytes);
    return digest;
  };
  const read: Digest[] = [];
  return {
    host: 'registry.test',
    read,
    manifest: (_repository, reference) => {
      const bytes = blobs.get(reference);
      return Promise.resolve(
        bytes === undefined
          ? null
          : { digest: sha256(bytes), mediaType: 'application/vnd.oci.image.manifest.v1+json', bytes },
      );
    },
    readBlob: (_repository, digest) => {
      read.push(digest);
      const bytes = blobs.get(digest);
      return bytes === undefined
        ? Promise.reject(new Error(`no blob ${digest}`))
        : Promise.resolve(Readable.from([bytes]));
    },
    take: (image) => {
      blobs.set(image.digest, image.manifest);
      for (const [digest, bytes] of image.blobs) blobs.set(digest, bytes);
    },
    forget: (digest) => blobs.delete(digest),
    add: async (_repository, image) => {
      const compression = image.compression ?? 'gzip';
      const tars = await Promise.all(image.layers.map((entries) => tarOf(entries)));
      const diffIds = image.diffIds ?? tars.map((tar) => sha256(tar));
      const config = Buffer.from(
        JSON.stringify({
          os: 'linux',
          architecture: 'amd64',
          config: image.config ?? {},
          rootfs: { type: 'layers', diff_ids: diffIds },
        }),
      );
      const layers = tars
        .map((tar) => (compression === 'gzip' ? gzipSync(tar) : tar))
        .map((bytes) => ({
          mediaType: `application/vnd.oci.image.layer.v1.tar${compression === 'none' ? '' : `+${compression}`}`,
          digest: put(bytes),
          size: bytes.length,
        }));
      const manifest = {
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: put(config), size: config.length },
        layers,
      };
      return put(Buffer.from(JSON.stringify(manifest)));
    },
  };
}

async function tarOf(entries: readonly TestEntry[]): Promise<Buffer> {
  const tar = pack();
  for (const { content, ...header } of entries) {
    const bytes = Buffer.from(content ?? '');
    tar.entry({ mtime: new Date(0), ...header, ...(content === undefined ? {} : { size: bytes.length }) }, bytes);
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks);
}
