import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { EnvHttpProxyAgent, fetch } from 'undici';

import { sha256Hex } from '../../../../lib/digest.ts';
import { ArtifactError } from '../../../artifact-error.ts';
import type { DebianFile } from './base-lock.ts';

/** Debian's own addresses, behind those that this machine uses; every byte is checked, so order is a matter of speed. */
const PUBLIC_MIRRORS = ['http://deb.debian.org/debian', 'http://deb.debian.org/debian-security'];
const SNAPSHOTS = 'https://snapshot.debian.org/archive';

/** @returns the roots of Debian archives that the machine's apt reads: none on other systems */
export function aptMirrors(etc = '/etc/apt'): string[] {
  const folder = join(etc, 'sources.list.d');
  const names = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  const files = [join(etc, 'sources.list'), ...names].filter((file) => existsSync(file));
  const found = files.flatMap((file) => {
    const text = readFileSync(file, 'utf8');
    return file.endsWith('.sources')
      ? [...text.matchAll(/^URIs:\s*(.+)$/gm)].flatMap(([, uris]) => (uris ?? '').trim().split(/\s+/))
      : [...text.matchAll(/^deb(?:\s+\[[^\]]*\])?\s+(\S+)/gm)].map(([, uri]) => uri ?? '');
  });
  return [...new Set(found.filter((uri) => /^https?:\/\/.*\/debian[\w-]*\/?$/.test(uri)))];
}

/** Where to ask for a package, best first. The snapshot archive keeps what mirrors drop after a point release. */
export function mirrorsFor(configured: readonly string[], snapshot: string): string[] {
  const roots = [
    ...configured,
    ...PUBLIC_MIRRORS,
    `${SNAPSHOTS}/debian/${snapshot}`,
    `${SNAPSHOTS}/debian-security/${snapshot}`,
  ];
  return [...new Set(roots.map((root) => root.replace(/\/$/, '')))];
}

/**
 * The bytes of a pinned package, from this machine's disk or the first mirror that has them.
 * @throws ArtifactError `artifact.base-package-gone`
 */
export async function fetchDebianFile(
  file: DebianFile,
  options: { readonly mirrors: readonly string[]; readonly directory: string; readonly signal: AbortSignal },
): Promise<Buffer> {
  const { mirrors, directory, signal } = options;
  const place = join(directory, `${file.sha256}.deb`);
  const kept = await readFile(place).catch(() => null);
  if (kept !== null && sha256Hex(kept) === file.sha256) return kept;
  const seen: string[] = [];
  for (const mirror of mirrors) {
    const outcome = await download(`${mirror}/${file.path}`, signal);
    if (typeof outcome !== 'string' && sha256Hex(outcome) === file.sha256) {
      await keep(directory, place, outcome);
      return outcome;
    }
    seen.push(typeof outcome === 'string' ? outcome : 'other bytes than are locked');
  }
  throw new ArtifactError({
    code: 'artifact.base-package-gone',
    what: `No Debian mirror gave ${file.name} ${file.version} (${[...new Set(seen)].join(', ')}).`,
    fix: 'Name a mirror in TOWPATH_DEBIAN_MIRROR, or move to the packages of today: `npm run refresh:base` in the sources, `towpath base refresh` where it runs.',
  });
}

/** The bytes, or in words why there are none. */
async function download(url: string, signal: AbortSignal): Promise<Buffer | string> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(120_000)]);
    const response = await fetch(url, { signal: limit, dispatcher: proxied() });
    if (response.ok) return Buffer.from(await response.arrayBuffer());
    await response.body?.cancel();
    return `answer ${response.status}`;
  } catch {
    signal.throwIfAborted();
    return 'no connection';
  }
}

let agent: EnvHttpProxyAgent | undefined;

/** Made when it is first needed: most processes never fetch a package. */
function proxied(): EnvHttpProxyAgent {
  agent ??= new EnvHttpProxyAgent();
  return agent;
}

async function keep(directory: string, place: string, bytes: Buffer): Promise<void> {
  await mkdir(directory, { recursive: true });
  const fresh = join(directory, `.${randomBytes(8).toString('hex')}.part`);
  try {
    await writeFile(fresh, bytes, { flag: 'wx' });
    await rename(fresh, place);
  } finally {
    await rm(fresh, { force: true });
  }
}
