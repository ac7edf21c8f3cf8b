import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { z } from 'zod';

import { type Digest, hexOf, isDigest, sha256 } from '../../lib/digest.ts';
import { RegistryError } from '../error.ts';
import { MAX_MANIFEST_BYTES, parseManifest, type ParsedManifest } from '../manifest.ts';
import type { Descriptor, Registry, StoredManifest } from '../registry.ts';
import { digestMismatch } from '../verified.ts';

/** An OCI image layout on the disk, as `oras cp --recursive --to-oci-layout`, `skopeo copy` or `regctl` writes it. Read only. */
export interface Layout extends Pick<Registry, 'manifest' | 'readBlob' | 'referrers'> {
  /** The one image in it. @throws RegistryError `registry.name-invalid` when there is none, or more than one */
  only(): Digest;
}

const Index = z.looseObject({
  manifests: z.array(z.looseObject({ digest: z.string(), annotations: z.record(z.string(), z.string()).nullish() })),
});

const TAG = 'org.opencontainers.image.ref.name';

/**
 * Whoever copied it may have listed referrers in the index, under a fallback tag, or nowhere: so what refers to what is read
 * from the manifests themselves. Names of repositories are not kept in a layout, and are not looked at.
 * @throws RegistryError `registry.not-found` where there is no layout
 */
export async function openLayout(directory: string): Promise<Layout> {
  const index = await indexOf(directory);
  const manifests = await manifestsOf(join(directory, 'blobs', 'sha256'));
  const digests = new Map<string, string>();
  for (const { digest, annotations } of index.manifests) {
    const tag = annotations?.[TAG];
    if (tag !== undefined) digests.set(tag, digest);
  }
  return {
    only() {
      const listed = index.manifests.flatMap(({ digest }) => {
        const found = manifests.get(digest);
        return found !== undefined && isDigest(digest) && isImage(found.parsed, manifests) ? [digest] : [];
      });
      const [one, ...others] = [...new Set(listed)];
      if (one !== undefined && others.length === 0) return one;
      throw notOne(directory, [...digests.keys()]);
    },
    async manifest(_repository, reference) {
      return manifests.get(digests.get(reference) ?? reference)?.stored ?? null;
    },
    async readBlob(_repository, digest) {
      const bytes = await readSmall(join(directory, 'blobs', 'sha256', hexOf(digest)));
      if (bytes === null) throw notFound(`no blob ${digest} in ${directory}`);
      if (sha256(bytes) !== digest) throw digestMismatch(digest, sha256(bytes));
      return Readable.from([bytes]);
    },
    async referrers(_repository, subject, artifactType) {
      return [...manifests.values()]
        .filter(({ parsed }) => parsed.subject?.digest === subject)
        .map(({ parsed, stored }): Descriptor => {
          const type = parsed.artifactType === null ? {} : { artifactType: parsed.artifactType };
          return { mediaType: stored.mediaType, digest: stored.digest, size: stored.bytes.length, ...type };
        })
        .filter((one) => artifactType === undefined || one.artifactType === artifactType);
    },
  };
}

async function indexOf(directory: string): Promise<z.infer<typeof Index>> {
  const text = await readSmall(join(directory, 'index.json'));
  const read = Index.safeParse(text === null ? null : jsonOrNull(text));
  if (read.success && (await readSmall(join(directory, 'oci-layout'))) !== null) return read.data;
  throw notFound(`no OCI image layout in ${directory} (a folder with \`oci-layout\`, \`index.json\` and \`blobs\`)`);
}

interface Found {
  readonly stored: StoredManifest;
  readonly parsed: ParsedManifest;
}

async function manifestsOf(folder: string): Promise<ReadonlyMap<string, Found>> {
  const found = new Map<string, Found>();
  for (const name of await readdir(folder).catch(() => [])) {
    const bytes = await readSmall(join(folder, name));
    if (bytes === null || bytes[0] !== '{'.charCodeAt(0)) continue;
    const digest = sha256(bytes);
    const parsed = digest === `sha256:${name}` ? manifestOrNull(bytes) : null; // else nobody may take it for what its name says
    if (parsed !== null) found.set(digest, { parsed, stored: { digest, mediaType: parsed.mediaType, bytes } });
  }
  return found;
}

function manifestOrNull(bytes: Buffer): ParsedManifest | null {
  try {
    return parseManifest(bytes, null);
  } catch {
    return null;
  }
}

/** Neither what refers to another nor the list of such, which is kept under a tag. */
function isImage({ subject, manifests }: ParsedManifest, all: ReadonlyMap<string, Found>): boolean {
  const refers = (digest: string) => (all.get(digest)?.parsed.subject ?? null) !== null;
  return subject === null && !(manifests.length > 0 && manifests.every(({ digest }) => refers(digest)));
}

/** Of a regular file that is no larger than a manifest may be; a layout may be a stranger's. */
async function readSmall(path: string): Promise<Buffer | null> {
  try {
    const { size, isFile } = await lstat(path).then((found) => ({ size: found.size, isFile: found.isFile() }));
    return isFile && size <= MAX_MANIFEST_BYTES ? await readFile(path) : null;
  } catch {
    return null;
  }
}

function jsonOrNull(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}

function notOne(directory: string, tags: readonly string[]): RegistryError {
  return new RegistryError({
    code: 'registry.name-invalid',
    what: `The layout in ${directory} does not have one image${tags.length === 0 ? '' : ` (its tags: ${tags.slice(0, 20).join(', ')})`}.`,
    fix: `Say which: \`${directory}:TAG\` or \`${directory}@sha256:...\`.`,
  });
}

function notFound(what: string): RegistryError {
  return new RegistryError({
    code: 'registry.not-found',
    what: `There is ${what}.`,
    fix: 'Write one with what lies beside the image: `oras cp --recursive --to-oci-layout IMAGE FOLDER:TAG`.',
  });
}
