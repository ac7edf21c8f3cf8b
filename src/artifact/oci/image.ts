import { z } from 'zod';

import { isDigest, sha256 } from '../../lib/digest.ts';
import type { Digest } from '../../lib/digest.ts';
import { LAYER_MEDIA_TYPE } from './layer.ts';
import type { Layer } from './layer.ts';

export const MANIFEST_MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';
export const CONFIG_MEDIA_TYPE = 'application/vnd.oci.image.config.v1+json';

const Digest = z.custom<Digest>(isDigest, 'a sha256 digest');

export const ImageDescriptor = z.object({
  mediaType: z.string(),
  digest: Digest,
  size: z.number().int().nonnegative(),
});
export type ImageDescriptor = z.infer<typeof ImageDescriptor>;

/** The run-time part of an image configuration; what we do not know of a base is carried along. */
const RunConfig = z.looseObject({
  Env: z.array(z.string()).nullish(),
  Entrypoint: z.array(z.string()).nullish(),
  Cmd: z.array(z.string()).nullish(),
  WorkingDir: z.string().nullish(),
  User: z.string().nullish(),
  ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
});
type RunConfig = z.infer<typeof RunConfig>;

const History = z.looseObject({ created_by: z.string().nullish(), empty_layer: z.boolean().nullish() });

/** An OCI image configuration, read from a base or to be written. */
export const ImageConfigFile = z.object({
  architecture: z.string(),
  os: z.string(),
  variant: z.string().optional(),
  config: RunConfig.nullish(),
  rootfs: z.object({ type: z.literal('layers'), diff_ids: z.array(Digest) }),
  history: z.array(History).nullish(),
});
export type ImageConfigFile = z.infer<typeof ImageConfigFile>;

/** An image to build upon: its configuration, and its layers as its manifest names them. */
export interface BaseContent {
  readonly config: ImageConfigFile;
  readonly layers: readonly ImageDescriptor[];
}

/** What the image says of how it is started, in addition to what its base says. */
export interface RunChanges {
  readonly command: readonly string[];
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly port?: number | undefined;
}

export interface AssembledImage {
  readonly manifest: Buffer;
  readonly digest: Digest;
  readonly config: Buffer;
  readonly configDigest: Digest;
  readonly layers: readonly ImageDescriptor[];
  /** Config and layers, compressed. */
  readonly sizeBytes: number;
}

/**
 * An image out of a base and the layers above it: no bytes of layers are touched, so a changed base costs two small
 * JSON files. Nothing in them tells the time, the commit or the machine.
 */
export function assembleImage(
  base: BaseContent,
  layers: readonly (Layer & { readonly summary: string })[],
  changes: RunChanges,
): AssembledImage {
  const { config, rootfs, history, ...rest } = base.config;
  return writeImage(
    {
      ...rest,
      config: changed(config ?? {}, changes),
      rootfs: { type: 'layers', diff_ids: [...rootfs.diff_ids, ...layers.map(({ diffId }) => diffId)] },
      history: [...historyOf(history, rootfs.diff_ids.length), ...layers.map(({ summary }) => historyEntry(summary))],
    },
    [
      ...base.layers.map((layer) => ({ ...layer, mediaType: ociMediaType(layer.mediaType) })),
      ...layers.map((layer) => layerDescriptor(layer)),
    ],
  );
}

export function layerDescriptor({ digest, size }: Layer): ImageDescriptor {
  return { mediaType: LAYER_MEDIA_TYPE, digest, size };
}

/** One line of an image's history, at the beginning of time. */
export function historyEntry(summary: string): z.infer<typeof History> {
  return { created: '1970-01-01T00:00:00Z', created_by: summary };
}

export function writeImage(config: ImageConfigFile, layers: readonly ImageDescriptor[]): AssembledImage {
  const { architecture, os, variant, ...rest } = config;
  const configBytes = Buffer.from(
    JSON.stringify({ architecture, ...(variant === undefined ? {} : { variant }), os, ...rest }),
  );
  const configDigest = sha256(configBytes);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_MEDIA_TYPE,
      config: { mediaType: CONFIG_MEDIA_TYPE, digest: configDigest, size: configBytes.length },
      layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    }),
  );
  return {
    manifest,
    digest: sha256(manifest),
    config: configBytes,
    configDigest,
    layers,
    sizeBytes: layers.reduce((sum, { size }) => sum + size, configBytes.length),
  };
}

function changed(base: RunConfig, { command, workdir, env, port }: RunChanges): RunConfig {
  const names = new Set((base.Env ?? []).map((line) => line.slice(0, line.indexOf('='))));
  const added = Object.entries(env).filter(([name]) => !names.has(name));
  return {
    ...base,
    Env: [...(base.Env ?? []), ...added.map(([name, value]) => `${name}=${value}`)],
    Cmd: [...command],
    WorkingDir: workdir,
    ...(port === undefined ? {} : { ExposedPorts: { ...base.ExposedPorts, [`${port}/tcp`]: {} } }),
  };
}

/** A history whose layers do not match confuses readers more than none. */
function historyOf(history: ImageConfigFile['history'], layers: number): z.infer<typeof History>[] {
  const entries = history ?? [];
  return entries.filter(({ empty_layer }) => empty_layer !== true).length === layers ? entries : [];
}

/** Docker's own media types mean the same bytes, and may not stand in an OCI manifest. */
function ociMediaType(mediaType: string): string {
  return mediaType === 'application/vnd.docker.image.rootfs.diff.tar.gzip' ? LAYER_MEDIA_TYPE : mediaType;
}
