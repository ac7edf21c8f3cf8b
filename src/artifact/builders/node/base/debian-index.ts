import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { sha256Hex } from '../../../../lib/digest.ts';
import { ArtifactError } from '../../../artifact-error.ts';
import type { DebianFile } from './base-lock.ts';
import { unxz } from './debian-package.ts';
import { compareDebianVersions } from './debian-version.ts';

const run = promisify(execFile);

export interface Suite {
  /** Root of the archive. */
  readonly mirror: string;
  /** `bookworm`, `bookworm-security` */
  readonly suite: string;
}

/**
 * The newest version of each package that the suites offer, as the signed indexes tell.
 * @param keyring of Debian's archive keys: each suite's `InRelease` is checked against it with gpgv
 * @throws ArtifactError `artifact.debian-index`
 */
export async function newestPackages(
  suites: readonly Suite[],
  architecture: string,
  keyring: string,
): Promise<ReadonlyMap<string, DebianFile>> {
  const newest = new Map<string, DebianFile>();
  for (const { mirror, suite } of suites) {
    const release = await verified(await fetchBytes(`${mirror}/dists/${suite}/InRelease`), keyring, suite);
    const index = `main/binary-${architecture}/Packages.xz`;
    const hash = new RegExp(`^ ([0-9a-f]{64}) +\\d+ ${index.replaceAll('.', '\\.')}$`, 'm').exec(
      release.slice(release.indexOf('\nSHA256:')),
    )?.[1];
    const bytes = await fetchBytes(`${mirror}/dists/${suite}/${index}`);
    if (sha256Hex(bytes) !== hash) throw unusable(`${suite}/${index} is not what its release file says`);
    for (const found of packagesIn((await unxz(bytes)).toString('utf8'))) {
      const known = newest.get(found.name);
      if (!known || compareDebianVersions(known.version, found.version) < 0) newest.set(found.name, found);
    }
  }
  return newest;
}

/** The stanzas of a Packages file. */
export function packagesIn(text: string): DebianFile[] {
  return text.split(/\n\n+/).flatMap((stanza) => {
    const field = (name: string) => new RegExp(`^${name}: (.+)$`, 'm').exec(stanza)?.[1];
    const [name, version, path, sha256] = [field('Package'), field('Version'), field('Filename'), field('SHA256')];
    if (name === undefined || version === undefined || path === undefined || sha256 === undefined) return [];
    return [{ name, version, path, sha256, size: Number(field('Size')) }];
  });
}

async function verified(inRelease: Buffer, keyring: string, suite: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'towpath-release-'));
  try {
    const [file, content] = [join(folder, 'InRelease'), join(folder, 'Release')];
    await writeFile(file, inRelease);
    await run('gpgv', ['--keyring', keyring, '--output', content, file]).catch((error: unknown) => {
      throw unusable(`the signature of ${suite} is not one of the keyring`, error);
    });
    return await readFile(content, 'utf8');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function fetchBytes(url: string): Promise<Buffer> {
  const response = await fetch(url);
  if (!response.ok) throw unusable(`a mirror answered ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

function unusable(what: string, cause?: unknown): ArtifactError {
  return new ArtifactError(
    {
      code: 'artifact.debian-index',
      what: `The index of Debian packages cannot be used: ${what}.`,
      fix: 'Try another mirror; gpgv and debian-archive-keyring must be installed.',
    },
    { cause },
  );
}
