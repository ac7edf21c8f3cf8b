import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** A manifest is a small blob, and JSON that names layers or other manifests. */
const LARGEST_MANIFEST_BYTES = 256 * 1024;

/** Content does not change under its digest, so it is read once. */
const whole = new Set<string>();

/**
 * What is wrong in the folder of the embedded registry: a blob that is not what its name says, a manifest whose blob is
 * away, a blob that no manifest names. What a killed upload left is not there yet, and the sweep takes it.
 */
export async function wrongInRegistry(directory: string): Promise<string[]> {
  const blobs = new Map<string, string>();
  const wrong: string[] = [];
  for (const path of await filesBelow(join(directory, 'blobs', 'sha256'))) {
    const digest = `sha256:${path.slice(path.lastIndexOf('/') + 1)}`;
    if (blobs.has(digest)) wrong.push('a blob is there twice');
    blobs.set(digest, path);
    if (!(await isWhole(digest, path))) wrong.push('a blob does not have its digest');
  }
  const manifests = new Set<string>();
  const named = new Set<string>();
  for (const [digest, path] of blobs) {
    const names = await namesIn(path);
    if (names === null) continue;
    manifests.add(digest);
    for (const name of names) {
      named.add(name);
      if (!blobs.has(name)) wrong.push('a manifest names a blob that is not there');
    }
  }
  for (const digest of blobs.keys())
    if (!manifests.has(digest) && !named.has(digest)) wrong.push('a blob belongs to no manifest');
  return wrong;
}

async function isWhole(digest: string, path: string): Promise<boolean> {
  const { mtimeMs, size } = await stat(path);
  const seen = `${path} ${mtimeMs} ${size}`;
  if (whole.has(seen)) return true;
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  if (`sha256:${hash.digest('hex')}` !== digest) return false;
  whole.add(seen);
  return true;
}

/** @returns null when it is no manifest */
async function namesIn(path: string): Promise<string[] | null> {
  if ((await stat(path)).size > LARGEST_MANIFEST_BYTES) return null;
  const text = await readFile(path, 'utf8');
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
