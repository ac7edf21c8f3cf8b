import { z } from 'zod';

import { isDigest, sha256 } from '../../lib/digest.ts';
import type { Digest } from '../../lib/digest.ts';
import { MANIFEST_MEDIA_TYPE } from '../oci/image.ts';

/** How a registry is told that a manifest is no image: a function's code, one zip or several. */
export const FUNCTION_TYPE = 'application/vnd.towpath.function.v1';

/** What stands in place of a configuration; its bytes are `{}`. @see OCI image-spec 1.1, "guidance for an empty descriptor" */
export const EMPTY_CONFIG = Buffer.from('{}');

const EMPTY_MEDIA_TYPE = 'application/vnd.oci.empty.v1+json';
const ZIP_MEDIA_TYPE = 'application/zip';
const TITLE = 'org.opencontainers.image.title';
const NODE = 'dev.towpath.function.node';
const PLATFORM = 'dev.towpath.function.platform';

/** A function's code as it rests in a registry. Equal zips for one line of Node and one platform are one manifest. */
export interface FunctionCode {
  /** The line of Node that it is for: `22`. */
  readonly node: string;
  /** `linux/amd64` or `linux/arm64`. */
  readonly platform: string;
  readonly zips: readonly { readonly title: string; readonly digest: Digest; readonly size: number }[];
}

const Manifest = z.object({
  artifactType: z.literal(FUNCTION_TYPE),
  layers: z.array(
    z.object({
      digest: z.custom<Digest>(isDigest),
      size: z.int().nonnegative(),
      annotations: z.record(z.string(), z.string()),
    }),
  ),
  annotations: z.record(z.string(), z.string()),
});

export function writeFunctionManifest({ node, platform, zips }: FunctionCode): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_MEDIA_TYPE,
      artifactType: FUNCTION_TYPE,
      config: { mediaType: EMPTY_MEDIA_TYPE, digest: sha256(EMPTY_CONFIG), size: EMPTY_CONFIG.length },
      layers: zips.map(({ title, digest, size }) => ({
        mediaType: ZIP_MEDIA_TYPE,
        digest,
        size,
        annotations: { [TITLE]: title },
      })),
      annotations: { [NODE]: node, [PLATFORM]: platform },
    }),
  );
}

/** @returns null for a manifest that is of something else */
export function readFunctionManifest(bytes: Buffer): FunctionCode | null {
  const read = Manifest.safeParse(JSON.parse(bytes.toString('utf8')));
  if (!read.success) return null;
  const { layers, annotations } = read.data;
  return {
    node: annotations[NODE] ?? '',
    platform: annotations[PLATFORM] ?? '',
    zips: layers.map((layer) => ({ title: layer.annotations[TITLE] ?? '', digest: layer.digest, size: layer.size })),
  };
}

/** As Lambda calls it: GetFunctionConfiguration answers the same text for the same zip. */
export function codeSha256(digest: Digest): string {
  return Buffer.from(digest.slice('sha256:'.length), 'hex').toString('base64');
}
