import { z } from 'zod';

import { sha256 } from '../../lib/digest.ts';
import type { Digest } from '../../lib/digest.ts';
import { ArtifactError } from '../artifact-error.ts';
import type { ImageReader } from '../image-store.ts';
import { ImageConfigFile, ImageDescriptor } from './image.ts';
import type { BaseContent } from './image.ts';

const MAX_JSON_BYTES = 8 * 1024 * 1024;

const Manifest = z.object({ config: ImageDescriptor, layers: z.array(ImageDescriptor).max(512) });
const Index = z.object({
  manifests: z
    .array(
      z.object({
        digest: ImageDescriptor.shape.digest,
        platform: z.object({ os: z.string(), architecture: z.string() }).optional(),
      }),
    )
    .max(512),
});

/**
 * Reads the image that a digest names; of an index, the one for `platform`.
 * @throws ArtifactError `artifact.base-missing`, `artifact.base-platform`, `artifact.base-unusable`
 */
export async function readBaseImage(
  images: ImageReader,
  repository: string,
  digest: Digest,
  platform: string,
): Promise<BaseContent> {
  const found = await images.manifest(repository, digest);
  if (found === null || sha256(found.bytes) !== digest) throw missing(repository, digest);
  const json: unknown = parseJson(found.bytes, digest);
  if (typeof json === 'object' && json !== null && 'manifests' in json) {
    const fitting = Index.parse(json).manifests.find(
      (entry) => entry.platform && `${entry.platform.os}/${entry.platform.architecture}` === platform,
    );
    if (!fitting) throw wrongPlatform(digest, platform, 'has no image for it');
    return readBaseImage(images, repository, fitting.digest, platform);
  }
  const manifest = Manifest.safeParse(json);
  if (!manifest.success) throw unusable(digest, 'its manifest is not that of an image');
  const config = ImageConfigFile.safeParse(
    parseJson(await readSmall(images, repository, manifest.data.config.digest), digest),
  );
  if (!config.success) throw unusable(digest, 'its configuration is not that of an image');
  const { os, architecture, rootfs } = config.data;
  if (`${os}/${architecture}` !== platform) throw wrongPlatform(digest, platform, `is for ${os}/${architecture}`);
  if (rootfs.diff_ids.length !== manifest.data.layers.length) throw unusable(digest, 'its layers do not match');
  if (manifest.data.layers.some(({ mediaType }) => /foreign|nondistributable/.test(mediaType)))
    throw unusable(digest, 'it has layers that may not be copied');
  return { config: config.data, layers: manifest.data.layers };
}

async function readSmall(images: ImageReader, repository: string, digest: Digest): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of await images.readBlob(repository, digest)) {
    const bytes = Buffer.from(chunk as Uint8Array);
    length += bytes.length;
    if (length > MAX_JSON_BYTES) throw unusable(digest, 'its configuration is too large');
    chunks.push(bytes);
  }
  const whole = Buffer.concat(chunks);
  if (sha256(whole) !== digest) throw unusable(digest, 'its configuration does not have its digest');
  return whole;
}

function parseJson(bytes: Buffer, digest: Digest): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw unusable(digest, 'it holds something that is not JSON');
  }
}

function missing(repository: string, digest: Digest): ArtifactError {
  return new ArtifactError({
    code: 'artifact.base-missing',
    what: `The base image ${digest} is not in ${repository}.`,
    fix: 'Run `towpath base refresh` to pin what the reference names today.',
  });
}

function wrongPlatform(digest: Digest, platform: string, how: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.base-platform',
    what: `The build is for ${platform}, and the base image ${digest} ${how}.`,
    fix: 'Name a base image that has this platform.',
  });
}

function unusable(digest: Digest, why: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.base-unusable',
    what: `The base image ${digest} cannot be built upon: ${why}.`,
    fix: 'Name another base image.',
  });
}
