import { type Digest, sha256 } from '../lib/digest.ts';
import { OCI_MANIFEST, parseManifest } from '../registry/manifest.ts';
import type { Registry, StoredManifest } from '../registry/registry.ts';
import { BUNDLE_TYPE, MAX_BUNDLE_BYTES } from './bundle.ts';

const EMPTY = Buffer.from('{}');
const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json';

export interface SubjectImage {
  readonly repository: string;
  readonly image: Pick<StoredManifest, 'digest' | 'mediaType' | 'bytes'>;
}

export interface BundleToPush {
  readonly bundle: string;
  readonly predicateType: string;
  readonly signedAt: Date;
}

/** The manifest under which a bundle lies beside its image, as cosign writes and finds it. Equal bundles, equal bytes. */
export function referrerOf({ image }: Pick<SubjectImage, 'image'>, { bundle, predicateType, signedAt }: BundleToPush) {
  const layer = Buffer.from(bundle);
  const descriptor = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: sha256(bytes), size: bytes.length });
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      artifactType: BUNDLE_TYPE,
      config: descriptor(EMPTY_TYPE, EMPTY),
      layers: [descriptor(BUNDLE_TYPE, layer)],
      subject: descriptor(image.mediaType, image.bytes),
      annotations: {
        'dev.sigstore.bundle.content': 'dsse-envelope',
        'dev.sigstore.bundle.predicateType': predicateType,
        'org.opencontainers.image.created': signedAt.toISOString(),
      },
    }),
  );
  return { digest: sha256(bytes), mediaType: OCI_MANIFEST, bytes, blobs: [EMPTY, layer] };
}

/**
 * Puts a bundle beside its image; again is the same as once. Where the registry has no referrers API its client keeps the
 * list under a tag, which is read and written back: one at a time may push for an image.
 */
export async function pushBundle(
  registry: Pick<Registry, 'writeBlob' | 'putManifest'>,
  subject: SubjectImage,
  bundle: BundleToPush,
): Promise<Digest> {
  const { digest, blobs, ...manifest } = referrerOf(subject, bundle);
  for (const bytes of blobs)
    await registry.writeBlob(subject.repository, { digest: sha256(bytes), size: bytes.length, open: () => bytes });
  return registry.putManifest(subject.repository, digest, manifest);
}

/** Digests of the manifests of all bundles beside an image, ours and those of others. */
export async function bundlesOf(
  registry: Pick<Registry, 'referrers'>,
  repository: string,
  digest: Digest,
): Promise<readonly Digest[]> {
  return (await registry.referrers(repository, digest, BUNDLE_TYPE)).map((one) => one.digest);
}

/** @returns null where there is none, or something else than one bundle */
export async function readBundleAt(
  registry: Pick<Registry, 'manifest' | 'readBlob'>,
  repository: string,
  manifest: Digest,
): Promise<string | null> {
  const found = await registry.manifest(repository, manifest);
  if (found === null) return null;
  const layer = parseManifest(found.bytes, found.mediaType).blobs.find(({ mediaType }) => mediaType === BUNDLE_TYPE);
  if (layer === undefined || layer.size > MAX_BUNDLE_BYTES) return null;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of await registry.readBlob(repository, layer.digest as Digest)) {
    chunks.push(chunk as Uint8Array);
    size += (chunk as Uint8Array).length;
    if (size > MAX_BUNDLE_BYTES) return null; // it said otherwise
  }
  return Buffer.concat(chunks).toString('utf8');
}
