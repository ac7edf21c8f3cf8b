import type { Readable } from 'node:stream';

import { z } from 'zod';

import type { Digest } from '../../lib/digest.ts';
import { isDigest, sha256, shortDigest } from '../../lib/digest.ts';
import { ContainerError } from '../container-error.ts';
import type { ImageConfig } from '../runtime.ts';

/** Where an image's parts are read from: the part of a registry client that unpacking needs. */
export interface ImageSource {
  manifest(
    repository: string,
    reference: string,
  ): Promise<{ readonly digest: Digest; readonly mediaType: string; readonly bytes: Buffer } | null>;
  readBlob(repository: string, digest: Digest): Promise<Readable>;
}

/** An image of one platform, resolved to what has to be fetched. */
export interface ImageParts {
  /** Of this platform's manifest. */
  readonly manifest: Digest;
  readonly config: ImageConfig;
  readonly layers: readonly ImageLayer[];
}

export interface ImageLayer {
  readonly digest: Digest;
  /** Of the layer without its compression. */
  readonly diffId: Digest;
  readonly compression: 'none' | 'gzip' | 'zstd';
  /** Bytes, compressed, as the manifest says. */
  readonly size: number;
}

const MAX_JSON_BYTES = 4 * 1024 * 1024;
const digest = z.custom<Digest>(isDigest, 'a sha256 digest');
const Manifest = z.object({
  config: z.object({ digest }),
  layers: z.array(z.object({ mediaType: z.string(), digest, size: z.number().int().min(0) })).max(512),
});
const Index = z.object({
  manifests: z.array(z.object({ digest, platform: z.object({ os: z.string(), architecture: z.string() }).optional() })),
});
const Config = z.object({
  config: z
    .object({
      Entrypoint: z.array(z.string()).nullish(),
      Cmd: z.array(z.string()).nullish(),
      Env: z.array(z.string()).nullish(),
      WorkingDir: z.string().nullish(),
      User: z.string().nullish(),
    })
    .nullish(),
  rootfs: z.object({ diff_ids: z.array(digest) }),
});

/**
 * Reads manifest and configuration; of an index, the manifest of `platform` (`linux/amd64`).
 * @throws ContainerError `container.image-missing`, `container.no-platform`, `container.image-malformed`
 */
export async function readImage(
  source: ImageSource,
  repository: string,
  image: Digest,
  platform: string,
): Promise<ImageParts> {
  const { reference, manifest } = await readManifest(source, repository, image, platform);
  const config = parse(Config, await readSmallBlob(source, repository, manifest.config.digest), image);
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) {
    throw malformed(image, `its configuration names ${diffIds.length} layers, its manifest ${manifest.layers.length}`);
  }
  return {
    manifest: reference,
    config: {
      entrypoint: config.config?.Entrypoint ?? [],
      command: config.config?.Cmd ?? [],
      env: envOf(config.config?.Env ?? []),
      workdir: config.config?.WorkingDir || '/',
      user: config.config?.User ?? '',
    },
    layers: manifest.layers.map((layer, index) => ({
      digest: layer.digest,
      diffId: diffIds[index] ?? layer.digest,
      compression: compressionOf(layer.mediaType, image),
      size: layer.size,
    })),
  };
}

async function readManifest(
  source: ImageSource,
  repository: string,
  image: Digest,
  platform: string,
): Promise<{ readonly reference: Digest; readonly manifest: z.infer<typeof Manifest> }> {
  let reference = image;
  for (let depth = 0; depth < 3; depth++) {
    const stored = await source.manifest(repository, reference);
    if (stored === null) {
      throw new ContainerError({
        code: 'container.image-missing',
        what: `The registry has no image ${repository}@${shortDigest(reference)}.`,
        fix: 'Check that it was pushed and not deleted since; promote a release whose images exist.',
      });
    }
    if (sha256(stored.bytes) !== reference) throw malformed(image, 'its manifest does not have its digest');
    if (!/index|manifest\.list/.test(stored.mediaType))
      return { reference, manifest: parse(Manifest, stored.bytes, image) };
    const entries = parse(Index, stored.bytes, image).manifests;
    const fit = entries.find((entry) => `${entry.platform?.os}/${entry.platform?.architecture}` === platform);
    if (fit === undefined) {
      throw new ContainerError({
        code: 'container.no-platform',
        what: `The image ${repository}@${shortDigest(image)} has nothing for ${platform}.`,
        fix: `Build it for ${platform}, or deploy it with a driver whose machine has another platform.`,
      });
    }
    reference = fit.digest;
  }
  throw malformed(image, 'its indexes are nested too deep');
}

async function readSmallBlob(source: ImageSource, repository: string, blob: Digest): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of await source.readBlob(repository, blob)) {
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > MAX_JSON_BYTES) throw malformed(blob, 'its configuration is larger than 4 MiB');
    chunks.push(bytes);
  }
  const bytes = Buffer.concat(chunks);
  if (sha256(bytes) !== blob) throw malformed(blob, 'its configuration does not have its digest');
  return bytes;
}

function parse<T>(schema: z.ZodType<T>, bytes: Buffer, image: Digest): T {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw malformed(image, 'it has parts that are not JSON');
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw malformed(image, z.prettifyError(parsed.error).split('\n')[0] ?? 'unreadable');
  return parsed.data;
}

function compressionOf(mediaType: string, image: Digest): 'none' | 'gzip' | 'zstd' {
  if (/nondistributable|foreign/.test(mediaType)) throw malformed(image, 'it has layers kept outside the registry');
  if (/[.+]gzip$/.test(mediaType)) return 'gzip';
  if (mediaType.endsWith('+zstd')) return 'zstd';
  if (mediaType.endsWith('.tar')) return 'none';
  throw malformed(image, `it has a layer of the unknown type "${mediaType.slice(0, 100)}"`);
}

function envOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs
      .filter((pair) => pair.includes('='))
      .map((pair) => {
        const at = pair.indexOf('=');
        return [pair.slice(0, at), pair.slice(at + 1)];
      }),
  );
}

function malformed(image: Digest, why: string): ContainerError {
  return new ContainerError({
    code: 'container.image-malformed',
    what: `The image ${shortDigest(image)} cannot be used: ${why}.`,
    fix: 'Build and push it again.',
  });
}
