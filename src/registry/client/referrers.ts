import { hexOf, isDigest } from '../../lib/digest.ts';
import type { Digest } from '../../lib/digest.ts';
import { MAX_MANIFEST_BYTES, OCI_INDEX, describeReferrer, parseManifest, parseReferrers } from '../manifest.ts';
import type { ParsedManifest } from '../manifest.ts';
import { RegistryError } from '../error.ts';
import type { Descriptor, StoredManifest } from '../registry.ts';
import { bytesOf, errorOf } from './answers.ts';
import { pagesOf } from './pages.ts';
import type { Transport } from './transport.ts';

/** What the list of referrers needs of the registry around it. */
export interface ManifestAccess {
  manifest(repository: string, reference: string): Promise<StoredManifest | null>;
  put(repository: string, reference: string, mediaType: string, bytes: Buffer): Promise<void>;
}

/**
 * Referrers of a subject by the API of distribution-spec 1.1, or, where the registry lacks it, by the fallback tag
 * `sha256-<hex>`: an index that every writer reads, completes and writes back.
 */
export async function listReferrers(
  transport: Transport,
  access: ManifestAccess,
  repository: string,
  subject: Digest,
  scopes: readonly string[],
): Promise<Descriptor[]> {
  const found: Descriptor[] = [];
  for await (const response of pagesOf(transport, `/v2/${repository}/referrers/${subject}`, scopes)) {
    if ([400, 404, 405].includes(response.statusCode)) {
      await response.body.dump(); // the API is not there: an empty list would be a 200
      const index = await access.manifest(repository, fallbackTag(subject));
      return index === null ? [] : parseReferrers(index.bytes);
    }
    if (response.statusCode !== 200) throw await errorOf(response, `list the referrers of ${subject}`);
    found.push(...parseReferrers(await bytesOf(response, 4 * MAX_MANIFEST_BYTES)));
  }
  return found;
}

/**
 * Adds a manifest to the fallback list of its subject, or takes it off. The registry offers no compare-and-swap: of
 * several processes one may undo the other's entry, so what was written is read back, and written again if it is gone.
 */
export async function updateFallback(
  access: ManifestAccess,
  repository: string,
  manifest: ParsedManifest,
  digest: Digest,
  size: number,
  change: 'add' | 'remove',
): Promise<void> {
  if (manifest.subject === null || !isDigest(manifest.subject.digest)) return;
  const tag = fallbackTag(manifest.subject.digest);
  const read = async () => {
    const index = await access.manifest(repository, tag);
    return index === null ? [] : entriesOf(index.bytes);
  };
  for (let attempt = 0; attempt < 5; attempt++) {
    const entries = await read();
    if (entries.some((entry) => entry['digest'] === digest) === (change === 'add')) return;
    const others = entries.filter((entry) => entry['digest'] !== digest);
    const manifests = change === 'add' ? [...others, describeReferrer(manifest, digest, size)] : others;
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
    await access.put(repository, tag, OCI_INDEX, bytes);
  }
  if ((await read()).some((entry) => entry['digest'] === digest) === (change === 'add')) return;
  throw new RegistryError({
    code: 'registry.failed',
    what: `Others keep overwriting the list of referrers "${tag}" of ${repository}.`,
    fix: 'Try again; or use a registry with the referrers API, such as the embedded one.',
  });
}

/** Entries as they are, so that what others wrote into them is kept. */
function entriesOf(bytes: Buffer): Record<string, unknown>[] {
  parseManifest(bytes, null);
  const { manifests } = JSON.parse(bytes.toString('utf8')) as { manifests?: Record<string, unknown>[] };
  return manifests ?? [];
}

function fallbackTag(subject: Digest): string {
  return `sha256-${hexOf(subject)}`;
}
