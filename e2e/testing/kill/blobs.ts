import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** A manifest is a small blob, and JSON that names layers or other manifests. */
const LARGEST_MANIFEST_BYTES = 256 * 1024;

interface Content {
  readonly isWhole: boolean;
  /** The digests that it names; null when it is no manifest. */
  readonly names: readonly string[] | null;
}

/** Content does not change under its digest, so what is whole is read once. */
const read = new Map<string, Content>();

/**
 * What is wrong in the folder of the embedded registry: a blob that is not what its name says, a manifest whose blob is
 * away, a blob that no manifest names. What a killed upload left is not there yet, and the sweep takes it.
 */
export async function wrongInRegistry(directory: string): Promise<string[]> {
  const blobs = new Map<string, Content>();
  const wrong: string[] = [];
  for (const path of await filesBelow(join(directory, 'blobs', 'sha256'))) {
    const digest = `sha256:${path.slice(path.lastIndexOf('/') + 1)}`;
    if (blobs.has(digest)) wrong.push('a blob is there twice');
    const content = await contentOf(digest, path);
    if (!content.isWhole) wrong.push('a blob does not have its digest');
    blobs.set(digest, content);
  }
  const named = [...blobs.values()].flatMap(({ names }) => names ?? []);
  for (const name of named) if (!blobs.has(name)) wrong.push('a manifest names a blob that is not there');
  const belonging = new Set(named);
  for (const [digest, { names }] of blobs)
    if (names === null && !belonging.has(digest)) wrong.push('a blob belongs to no manifest');
  return wrong;
}

async function contentOf(digest: string, path: string): Promise<Content> {
  const { mtimeMs, size } = await stat(path);
  const state = `${path} ${mtimeMs} ${size}`;
  const known = read.get(state);
  if (known !== undefined) return known;
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  const content = {
    isWhole: `sha256:${hash.digest('hex')}` === digest,
    names: size > LARGEST_MANIFEST_BYTES ? null : namesIn(await readFile(path, 'utf8')),
  };
  if (content.isWhole) read.set(state, content);
  return content;
}

function namesIn(text: string): string[] | null {
  if (!text.startsWith('{')) return null;
  type Named = { digest: string };
  const content = JSON.parse(text) as { config?: Named; layers?: Named[]; manifests?: Named[] };
  if (content.layers === undefined && content.manifests === undefined) return null;
  const parts = [content.config, ...(content.layers ?? []), ...(content.manifests ?? [])];
  return parts.flatMap((part) => (part === undefined ? [] : [part.digest]));
}

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}
