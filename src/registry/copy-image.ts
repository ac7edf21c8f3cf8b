import { ensureLayer } from '../artifact/oci/push.ts';
import type { ImageDescriptor } from '../artifact/oci/image.ts';
import { type Digest, isDigest } from '../lib/digest.ts';
import { hasCode } from '../lib/error.ts';
import { RegistryError } from './error.ts';
import { isForeign, parseManifest, type ParsedManifest } from './manifest.ts';
import type { Descriptor, Registry, StoredManifest } from './registry.ts';
import { isWhole } from './whole-image.ts';

/** A repository of some registry. */
export interface Place {
  readonly registry: Registry;
  readonly repository: string;
}

export interface CopyLimits {
  /** Of an image for all its platforms, with what is said about it. */
  readonly manifests: number;
  /** Compressed, all layers together. */
  readonly bytes: number;
}

/** What was read of an image before it is copied. */
export interface ImageContent {
  /** Children before what names them; the image itself is the last. */
  readonly manifests: readonly StoredManifest[];
  readonly blobs: readonly ImageDescriptor[];
  /** The image that runs on the platform that was asked for, with its configuration. */
  readonly image: { readonly digest: Digest; readonly config: Digest };
  readonly sizeBytes: number;
}

export const COPY_LIMITS: CopyLimits = { manifests: 64, bytes: 64 * 1024 ** 3 };
/** What is here was taken in already. */
const NO_LIMITS: CopyLimits = { manifests: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };

/** What is said about an image travels with it when it is small. */
const REFERRER_LIMITS: CopyLimits = { manifests: 4, bytes: 16 * 1024 ** 2 };
const MOST_REFERRERS = 32;
const AT_ONCE = 3;

/**
 * Reads what an image is made of; an index is taken whole.
 * @returns null when there is none of this digest
 * @throws RegistryError `registry.image-unfit`
 */
export async function readContent(
  from: Place,
  digest: Digest,
  platform: string,
  limits: CopyLimits = COPY_LIMITS,
): Promise<ImageContent | null> {
  const whole = await walk(from, digest, limits);
  if (whole === null) return null;
  const fitting = whole.parsed.get(digest)?.kind === 'index' ? fittingIn(whole, digest, platform) : digest;
  const config = fitting === null ? undefined : whole.parsed.get(fitting)?.blobs[0]?.digest;
  if (fitting === null || !isDigest(config)) throw unfit(`${digest} has no image for ${platform}`);
  const runsOn = await platformOf(from, config);
  if (runsOn !== platform) throw unfit(`${digest} is for ${runsOn}, and what runs here is for ${platform}`);
  return { ...contentOf(whole), image: { digest: fitting, config } };
}

/** How a blob of an image came to where it was wanted. */
export type CopiedBlob = ImageDescriptor & { readonly how: Awaited<ReturnType<typeof ensureLayer>> };

/**
 * Brings an image here. What is here already is not fetched again, so it may be broken off and begun anew at any place; every
 * blob is checked against its digest on the way.
 */
export async function copyImage(
  from: Place,
  to: Place,
  content: Pick<ImageContent, 'manifests' | 'blobs'>,
  signal?: AbortSignal,
  told: (blob: CopiedBlob) => void = () => undefined,
): Promise<void> {
  const open = [...content.blobs];
  const source = { images: from.registry, repository: from.repository };
  const worker = async (): Promise<void> => {
    for (let blob = open.shift(); blob !== undefined; blob = open.shift()) {
      signal?.throwIfAborted();
      told({ ...blob, how: await ensureLayer(to.registry, to.repository, blob, source, signal) });
    }
  };
  const works = Array.from({ length: AT_ONCE }, () =>
    worker().catch((error: unknown) => {
      open.length = 0; // nothing more is begun
      throw error;
    }),
  );
  const failed = (await Promise.allSettled(works)).find((work) => work.status === 'rejected');
  signal?.throwIfAborted();
  if (failed !== undefined) throw failed.reason;
  for (const { digest, mediaType, bytes } of content.manifests) {
    signal?.throwIfAborted();
    await to.registry.putManifest(to.repository, digest, { mediaType, bytes });
  }
}

/**
 * Makes sure that an image lies in a repository, with all that it is made of: two services of equal contents share one
 * artifact, and each has its names in a repository of its own. Content is mounted where the registry can, else copied.
 * Does nothing when it is there.
 * @throws RegistryError `registry.not-found` when it is not in `from` either
 */
export async function shareImage(
  registry: Registry,
  { from, to, digest }: { readonly from: string; readonly to: string; readonly digest: Digest },
): Promise<void> {
  if (from === to || (await registry.manifest(to, digest)) !== null) return;
  const whole = await walk({ registry, repository: from }, digest, NO_LIMITS);
  if (whole === null) throw noImage({ repository: from }, digest, to);
  await copyImage({ registry, repository: from }, { registry, repository: to }, contentOf(whole));
}

/**
 * Makes sure that an image lies, whole, in a repository of any registry, an index with all its images, and beside it what is said
 * about it in `from`. What is there is not copied again; what was copied is read back by its digests.
 * @throws RegistryError `registry.not-found` when it is in neither, `registry.copy-differs`
 */
export async function bringImage(
  from: Place,
  to: Place,
  digest: Digest,
  {
    signal,
    told,
    begins = () => undefined,
  }: {
    readonly signal: AbortSignal;
    readonly told?: (blob: CopiedBlob) => void;
    /** Only where there is something to copy. */
    readonly begins?: (content: Pick<ImageContent, 'blobs' | 'sizeBytes'>) => void;
  },
): Promise<void> {
  const whole = await walk(from, digest, NO_LIMITS);
  const isThere = await isWhole(to.registry, to.repository, digest);
  if (whole === null) {
    if (isThere) return;
    throw noImage(from, digest, `${to.registry.host}/${to.repository}`);
  }
  if (!isThere) {
    const content = contentOf(whole);
    begins(content);
    await copyImage(from, to, content, signal, told);
    if (!(await isWhole(to.registry, to.repository, digest))) throw differs(to, digest);
  }
  for (const one of whole.manifests) await copyReferrers(from, to, one.digest, signal, Number.POSITIVE_INFINITY);
}

/**
 * Copies the small statements that another registry holds about an image, but for those that are here.
 * @returns how many there are here now
 */
export async function copyReferrers(
  from: Place,
  to: Place,
  image: Digest,
  signal: AbortSignal,
  most = MOST_REFERRERS,
): Promise<number> {
  const referrers = await referrersIn(from, image);
  if (referrers.length === 0) return 0;
  const here = new Set((await referrersIn(to, image)).map(({ digest }) => digest));
  let copied = 0;
  for (const { digest } of referrers.slice(0, most)) {
    if (!here.has(digest)) {
      const whole = await walk(from, digest, REFERRER_LIMITS).catch((error: unknown) => {
        if (hasCode(error, 'registry.image-unfit', 'registry.manifest-invalid')) return null;
        throw error;
      });
      if (whole === null) continue;
      await copyImage(from, to, contentOf(whole), signal);
    }
    copied += 1;
  }
  return copied;
}

async function referrersIn({ registry, repository }: Place, image: Digest): Promise<Descriptor[]> {
  return registry.referrers(repository, image).catch((error: unknown) => {
    if (hasCode(error, 'registry.unsupported', 'registry.failed', 'registry.denied')) return [];
    throw error;
  });
}

interface Whole {
  readonly manifests: readonly StoredManifest[];
  readonly parsed: ReadonlyMap<string, ParsedManifest>;
}

/** @returns null when the first of them is not there */
async function walk(from: Place, digest: Digest, limits: CopyLimits): Promise<Whole | null> {
  const parsed = new Map<string, ParsedManifest>();
  const manifests: StoredManifest[] = [];
  const visit = async (one: string): Promise<boolean> => {
    if (parsed.has(one)) return true;
    if (!isDigest(one)) throw unfit(`${digest} names ${one.slice(0, 80)}, which is no sha256 digest`);
    if (parsed.size >= limits.manifests) throw unfit(`${digest} holds more than ${limits.manifests} manifests`);
    const stored = await from.registry.manifest(from.repository, one);
    if (stored === null) return false;
    const manifest = parseManifest(stored.bytes, stored.mediaType);
    parsed.set(one, manifest);
    for (const child of manifest.manifests)
      if (!(await visit(child.digest))) throw unfit(`${digest} names ${child.digest}, which is not there`);
    manifests.push(stored);
    return true;
  };
  if (!(await visit(digest))) return null;
  const whole = { manifests, parsed };
  if (contentOf(whole).sizeBytes > limits.bytes) throw unfit(`${digest} has more than ${limits.bytes} bytes`);
  return whole;
}

function contentOf({ manifests, parsed }: Whole): Pick<ImageContent, 'manifests' | 'blobs' | 'sizeBytes'> {
  const blobs = new Map<Digest, ImageDescriptor>();
  for (const reference of [...parsed.values()].flatMap((manifest) => manifest.blobs)) {
    if (isForeign(reference)) continue;
    const { digest, mediaType, size } = reference;
    if (!isDigest(digest)) throw unfit(`a layer has the digest ${digest.slice(0, 80)}, which is no sha256 digest`);
    blobs.set(digest, { digest, mediaType, size });
  }
  const sizeBytes = [...blobs.values()].reduce((sum, { size }) => sum + size, 0);
  return { manifests, blobs: [...blobs.values()], sizeBytes };
}

/** What is in an index besides (attestations of BuildKit) says that it is for no platform. */
function fittingIn({ parsed }: Whole, index: Digest, platform: string): Digest | null {
  const entries = parsed.get(index)?.manifests ?? [];
  const fit = entries.find((entry) => `${entry.platform?.os}/${entry.platform?.architecture}` === platform);
  return fit !== undefined && isDigest(fit.digest) ? fit.digest : null;
}

async function platformOf({ registry, repository }: Place, config: Digest): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of await registry.readBlob(repository, config)) {
    chunks.push(Buffer.from(chunk as Uint8Array));
    size += chunks.at(-1)?.length ?? 0;
    if (size > LARGEST_CONFIG_BYTES) throw unfit('its configuration is larger than 8 MiB');
  }
  try {
    const { os, architecture } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>;
    return `${String(os)}/${String(architecture)}`;
  } catch {
    throw unfit('its configuration is not JSON');
  }
}

const LARGEST_CONFIG_BYTES = 8 * 1024 ** 2;

function unfit(why: string): RegistryError {
  return new RegistryError({
    code: 'registry.image-unfit',
    what: `The image cannot be taken: ${why}.`,
    fix: 'Build and push it for the platform of this server, as an image or an index of OCI or Docker.',
  });
}

function noImage({ repository }: Pick<Place, 'repository'>, digest: Digest, to: string): RegistryError {
  return new RegistryError({
    code: 'registry.not-found',
    what: `The image ${digest} is not in ${repository} any more, so ${to} cannot have it.`,
    fix: 'Build it again: `towpath build` with the release.',
  });
}

function differs({ registry, repository }: Place, digest: Digest): RegistryError {
  return new RegistryError({
    code: 'registry.copy-differs',
    what: `${digest} was copied to ${registry.host}/${repository}, and what is read back there is not it, or not whole.`,
    fix: 'Look at what cleans or changes images in that registry; delete what is damaged there, and promote again.',
  });
}
