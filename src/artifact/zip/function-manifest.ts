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
/** The zips, as JSON, where their bytes rest in a bucket and not in the registry. */
const ZIPS = 'dev.towpath.function.zips';

/** A function's code as it rests in a registry. Equal zips for one line of Node and one platform are one manifest. */
export interface FunctionCode {
  /** The line of Node that it is for: `22`. */
  readonly node: string;
  /** `linux/amd64` or `linux/arm64`. */
  readonly platform: string;
  readonly zips: readonly FunctionZip[];
  /** Where the bytes of the zips are. In a bucket they are named here alone, and a registry knows nothing of them. */
  readonly rest: 'registry' | 'bucket';
}

export interface FunctionZip {
  readonly title: string;
  readonly digest: Digest;
  readonly size: number;
}

const Content = z.object({ digest: z.custom<Digest>(isDigest), size: z.int().nonnegative() });
const Zips = z.array(Content.extend({ title: z.string() }));
const Manifest = z.object({
  artifactType: z.literal(FUNCTION_TYPE),
  layers: z.array(Content.extend({ annotations: z.record(z.string(), z.string()).default({}) })),
  annotations: z.record(z.string(), z.string()),
});

export function writeFunctionManifest({ node, platform, zips, rest }: FunctionCode): Buffer {
  const empty = { mediaType: EMPTY_MEDIA_TYPE, digest: sha256(EMPTY_CONFIG), size: EMPTY_CONFIG.length };
  const named = zips.map(({ title, digest, size }) => ({ title, digest, size }));
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_MEDIA_TYPE,
      artifactType: FUNCTION_TYPE,
      config: empty,
      layers:
        rest === 'bucket'
          ? [empty]
          : named.map(({ title, digest, size }) => ({
              mediaType: ZIP_MEDIA_TYPE,
              digest,
              size,
              annotations: { [TITLE]: title },
            })),
      annotations: {
        [NODE]: node,
        [PLATFORM]: platform,
        ...(rest === 'bucket' && { [ZIPS]: JSON.stringify(named) }),
      },
    }),
  );
}

/** @returns null for a manifest that is of something else */
export function readFunctionManifest(bytes: Buffer): FunctionCode | null {
  const read = Manifest.safeParse(JSON.parse(bytes.toString('utf8')));
  if (!read.success) return null;
  const { layers, annotations } = read.data;
  const { [NODE]: node = '', [PLATFORM]: platform = '', [ZIPS]: named } = annotations;
  if (named !== undefined) {
    const zips = zipsIn(named);
    return zips === null ? null : { node, platform, rest: 'bucket', zips };
  }
  const zips = layers.map((layer) => ({
    title: layer.annotations[TITLE] ?? '',
    digest: layer.digest,
    size: layer.size,
  }));
  return { node, platform, rest: 'registry', zips };
}

function zipsIn(text: string): FunctionZip[] | null {
  try {
    return Zips.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** As Lambda calls it: GetFunctionConfiguration answers the same text for the same zip. */
export function codeSha256(digest: Digest): string {
  return Buffer.from(digest.slice('sha256:'.length), 'hex').toString('base64');
}
