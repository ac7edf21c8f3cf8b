import { z } from 'zod';

import { isDigest } from '../lib/digest.ts';
import { RegistryError } from './error.ts';
import type { Descriptor } from './registry.ts';

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';

/** The media types of manifests that Towpath stores and asks for: an index is kept whole, never resolved on the way. */
export const MANIFEST_TYPES: readonly string[] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/** Every registry must take 4 MiB (distribution-spec 1.1); more than that is an attack or a mistake. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

/** What a manifest points at; its digest may be of any registered algorithm. */
export interface Reference {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly urls?: readonly string[] | undefined;
  /** Of an entry of an index. */
  readonly platform?: { readonly os: string; readonly architecture: string } | undefined;
}

/** What a registry must know of a manifest. The bytes stay what they are; this is never written back. */
export interface ParsedManifest {
  readonly kind: 'image' | 'index';
  readonly mediaType: string;
  /** Config and layers. */
  readonly blobs: readonly Reference[];
  readonly manifests: readonly Reference[];
  readonly subject: Reference | null;
  /** The artifact's type, or the config's media type where the manifest names none: what the referrers API filters by. */
  readonly artifactType: string | null;
  readonly annotations: Readonly<Record<string, string>> | null;
}

const Reference = z.looseObject({
  mediaType: z.string().max(255),
  digest: z.string().regex(/^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/),
  size: z.int().nonnegative(),
  urls: z.array(z.string()).optional(),
  platform: z.looseObject({ os: z.string(), architecture: z.string() }).optional().catch(undefined),
});

const Manifest = z.looseObject({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  artifactType: z.string().optional(),
  config: Reference.optional(),
  layers: z.array(Reference).optional(),
  manifests: z.array(Reference).optional(),
  subject: Reference.nullish(),
  annotations: z.record(z.string(), z.string()).nullish(),
});

const IndexOfReferrers = z.looseObject({
  manifests: z
    .array(
      z.looseObject({
        mediaType: z.string(),
        digest: z.string(),
        size: z.int().nonnegative(),
        artifactType: z.string().optional(),
        annotations: z.record(z.string(), z.string()).nullish(),
      }),
    )
    .nullish(),
});

/**
 * @param mediaType what the sender calls it; the manifest's own word must be the same (CVE-2021-41190: one text, two readings)
 * @throws RegistryError `registry.manifest-invalid`, `registry.too-large`
 */
export function parseManifest(bytes: Buffer, mediaType: string | null): ParsedManifest {
  if (bytes.length > MAX_MANIFEST_BYTES) throw manifestTooLarge();
  const read = Manifest.safeParse(jsonOf(bytes));
  if (!read.success) {
    const [issue] = read.error.issues;
    throw invalid(`is wrong at "${issue?.path.join('.') ?? ''}": ${issue?.message ?? 'unknown'}`);
  }
  const manifest = read.data;
  const type = mediaType ?? manifest.mediaType ?? (manifest.manifests === undefined ? OCI_MANIFEST : OCI_INDEX);
  if (manifest.mediaType !== undefined && manifest.mediaType !== type) {
    throw invalid(`calls itself ${manifest.mediaType} and was sent as ${type}`);
  }
  if (!MANIFEST_TYPES.includes(type))
    throw invalid(`has the media type ${type}, which is not one of an image or an index`);
  const index = type === OCI_INDEX || type === DOCKER_LIST;
  if (index ? manifest.manifests === undefined : manifest.config === undefined || manifest.layers === undefined) {
    throw invalid(index ? 'is an index without `manifests`' : 'is an image without `config` or `layers`');
  }
  if (index ? manifest.layers !== undefined || manifest.config !== undefined : manifest.manifests !== undefined) {
    throw invalid('is an image and an index at once');
  }
  return {
    kind: index ? 'index' : 'image',
    mediaType: type,
    blobs: manifest.config === undefined ? [] : [manifest.config, ...(manifest.layers ?? [])],
    manifests: manifest.manifests ?? [],
    subject: manifest.subject ?? null,
    artifactType: manifest.artifactType || manifest.config?.mediaType || null, // an empty one counts as none
    annotations: manifest.annotations ?? null,
  };
}

/** How the list of referrers describes a manifest. */
export function describeReferrer(manifest: ParsedManifest, digest: string, size: number): Record<string, unknown> {
  return {
    mediaType: manifest.mediaType,
    digest,
    size,
    ...(manifest.artifactType === null ? {} : { artifactType: manifest.artifactType }),
    ...(manifest.annotations === null ? {} : { annotations: manifest.annotations }),
  };
}

/**
 * Reads an index as a list of referrers. Entries whose digest is not sha256 are left out: nothing of ours makes them.
 * @throws RegistryError `registry.manifest-invalid`
 */
export function parseReferrers(bytes: Buffer): Descriptor[] {
  const read = IndexOfReferrers.safeParse(jsonOf(bytes));
  if (!read.success) throw invalid('is not a list of referrers');
  return (read.data.manifests ?? []).flatMap(({ mediaType, digest, size, artifactType, annotations }) =>
    isDigest(digest)
      ? [{ mediaType, digest, size, ...(artifactType && { artifactType }), ...(annotations && { annotations }) }]
      : [],
  );
}

/** True for a layer that lies elsewhere by intent, such as the base layers of Windows: it need not be in the registry. */
export function isForeign(reference: Reference): boolean {
  return (
    (reference.urls?.length ?? 0) > 0 ||
    reference.mediaType.startsWith('application/vnd.oci.image.layer.nondistributable.') ||
    reference.mediaType === 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
  );
}

export function manifestTooLarge(): RegistryError {
  return new RegistryError({
    code: 'registry.too-large',
    what: `The manifest has more than ${MAX_MANIFEST_BYTES} bytes, which is the limit.`,
    fix: 'Put large content into blobs.',
  });
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw invalid('is not JSON');
  }
}

function invalid(what: string): RegistryError {
  return new RegistryError({
    code: 'registry.manifest-invalid',
    what: `The manifest ${what}.`,
    fix: 'Send an OCI image manifest or index (image-spec 1.1), or its Docker v2 schema 2 likeness.',
  });
}
