import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';

import { pack } from 'tar-stream';

import { sha256 } from '../../lib/digest.ts';
import type { Digest } from '../../lib/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../manifest.ts';
import type { Registry } from '../registry.ts';

const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

export interface TestImage {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly config: Buffer;
  readonly layers: readonly Buffer[];
}

/** A real image that docker and skopeo can load: one layer for each group of files. It has no program to run. */
export async function testImage(groups: readonly Readonly<Record<string, string | Buffer>>[]): Promise<TestImage> {
  const tars = await Promise.all(groups.map(tarOf));
  const layers = tars.map((tar) => gzipSync(tar, { level: 1 }));
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Cmd: ['/hello'] },
      rootfs: { type: 'layers', diff_ids: tars.map((tar) => sha256(tar)) },
    }),
  );
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: descriptor(CONFIG, config),
      layers: layers.map((layer) => descriptor(LAYER, layer)),
    }),
  );
  return { digest: sha256(bytes), mediaType: OCI_MANIFEST, bytes, config, layers };
}

export async function pushImage(
  registry: Registry,
  repository: string,
  image: TestImage,
  tag?: string,
): Promise<Digest> {
  for (const blob of [image.config, ...image.layers]) await pushBlob(registry, repository, blob);
  return registry.putManifest(repository, tag ?? image.digest, image);
}

export async function pushBlob(
  registry: Pick<Registry, 'writeBlob'>,
  repository: string,
  bytes: Buffer,
): Promise<Digest> {
  const digest = sha256(bytes);
  await registry.writeBlob(repository, { digest, size: bytes.length, open: () => bytes });
  return digest;
}

/** An index of images for several platforms. */
export function testIndex(images: readonly TestImage[]): { digest: Digest; mediaType: string; bytes: Buffer } {
  const manifests = images.map((image, i) => ({
    ...descriptor(OCI_MANIFEST, image.bytes),
    platform: { os: 'linux', architecture: i === 0 ? 'amd64' : 'arm64' },
  }));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }, null, 3)); // odd spaces on purpose
  return { digest: sha256(bytes), mediaType: OCI_INDEX, bytes };
}

/** A statement about `subject`, as a manifest with an artifact type. Its config is the empty JSON object `{}`. */
export function testReferrer(
  subject: TestImage,
  artifactType: string,
  note: string,
): { mediaType: string; bytes: Buffer } {
  const empty = descriptor('application/vnd.oci.empty.v1+json', Buffer.from('{}'));
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      artifactType,
      config: empty,
      layers: [empty],
      subject: descriptor(OCI_MANIFEST, subject.bytes),
      annotations: { note },
    }),
  );
  return { mediaType: OCI_MANIFEST, bytes };
}

/** Bytes that do not compress and are the same each time. */
export function noise(size: number, seed = 'noise'): Buffer {
  const chunks: Buffer[] = [];
  for (let i = 0; i * 64 < size; i++) chunks.push(createHash('sha512').update(`${seed}${i}`).digest());
  return Buffer.concat(chunks).subarray(0, size);
}

function descriptor(mediaType: string, bytes: Buffer): { mediaType: string; digest: Digest; size: number } {
  return { mediaType, digest: sha256(bytes), size: bytes.length };
}

async function tarOf(files: Readonly<Record<string, string | Buffer>>): Promise<Buffer> {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) tar.entry({ name, mtime: new Date(0), mode: 0o755 }, content);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
