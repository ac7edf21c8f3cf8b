import { z } from 'zod';

import { ArtifactError } from '../../artifact-error.ts';

const Names = z.record(z.string(), z.string());

/** An entry under `packages` of a lock file of version 2 or 3; what we do not need is dropped. */
const LockEntry = z.object({
  name: z.string().optional(),
  version: z.string().optional(),
  resolved: z.union([z.string(), z.boolean()]).optional(),
  integrity: z.string().optional(),
  link: z.boolean().optional(),
  dev: z.boolean().optional(),
  optional: z.boolean().optional(),
  devOptional: z.boolean().optional(),
  inBundle: z.boolean().optional(),
  hasInstallScript: z.boolean().optional(),
  bin: z.union([Names, z.string()]).optional(),
  os: z.union([z.array(z.string()), z.string()]).optional(),
  cpu: z.union([z.array(z.string()), z.string()]).optional(),
  libc: z.union([z.array(z.string()), z.string()]).optional(),
  engines: z.unknown().optional(),
  dependencies: Names.optional(),
  optionalDependencies: Names.optional(),
  peerDependencies: Names.optional(),
  peerDependenciesMeta: z.record(z.string(), z.object({ optional: z.boolean().optional() })).optional(),
  workspaces: z.unknown().optional(),
});
export type LockEntry = z.infer<typeof LockEntry>;

const Lock = z.object({ lockfileVersion: z.number(), packages: z.record(z.string(), LockEntry).optional() });

export interface Lockfile {
  readonly version: number;
  /** Empty for version 1. */
  readonly root: RootEntry;
  /** By location (`node_modules/a/node_modules/b`, or the folder of a workspace), the root left out. */
  readonly packages: ReadonlyMap<string, LockEntry>;
}

/** The dependencies of the project, as the lock file or package.json states them. */
const RootEntry = z.object({
  dependencies: Names.optional(),
  devDependencies: Names.optional(),
  optionalDependencies: Names.optional(),
  peerDependencies: Names.optional(),
  workspaces: z.unknown().optional(),
});
export type RootEntry = z.infer<typeof RootEntry>;

const PackageJson = RootEntry.extend({ scripts: Names.optional().catch({}), type: z.string().optional() });
export type PackageJson = z.infer<typeof PackageJson>;

/** @throws ArtifactError `artifact.lock-malformed` */
export function parseLockfile(text: string): Lockfile {
  const json = parseJson(text, 'package-lock.json');
  const lock = Lock.safeParse(json);
  if (!lock.success) throw malformed('package-lock.json', pathOf(lock.error));
  const { '': _root, ...packages } = lock.data.packages ?? {};
  const root = z.object({ packages: z.object({ '': RootEntry }) }).safeParse(json);
  const hostile = Object.keys(packages).find((location) => !isSafeLocation(location));
  if (hostile !== undefined) throw malformed('package-lock.json', `packages/${hostile}`);
  return {
    version: lock.data.lockfileVersion,
    root: root.success ? root.data.packages[''] : {},
    packages: new Map(Object.entries(packages)),
  };
}

/** @throws ArtifactError `artifact.lock-malformed` */
export function parsePackageJson(text: string): PackageJson {
  const parsed = PackageJson.safeParse(parseJson(text, 'package.json'));
  if (!parsed.success) throw malformed('package.json', pathOf(parsed.error));
  return parsed.data;
}

/** True for a location that only goes through `node_modules`: false for a workspace or a linked folder. */
export function isInstalled(location: string): boolean {
  return /^node_modules\/(@[^/]+\/)?[^/@][^/]*(\/node_modules\/(@[^/]+\/)?[^/@][^/]*)*$/.test(location);
}

/** The name under which a package is found: `@scope/name` or `name`. */
export function nameAt(location: string): string {
  return location.slice(location.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

/** The location that a package at `from` gets when it requires `name`, as Node looks for it. */
export function resolveFrom(packages: ReadonlyMap<string, LockEntry>, from: string, name: string): string | undefined {
  for (let base = from; ; base = base.slice(0, Math.max(0, base.lastIndexOf('node_modules/') - 1))) {
    const location = base === '' ? `node_modules/${name}` : `${base}/node_modules/${name}`;
    if (packages.has(location)) return location;
    if (!base.includes('node_modules/')) return undefined;
  }
}

function isSafeLocation(location: string): boolean {
  return location
    .split('/')
    .every((part) => part !== '' && part !== '.' && part !== '..' && !part.includes('\\') && !part.includes('\0'));
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw malformed(file, error instanceof Error ? error.message : 'it is not JSON');
  }
}

function pathOf(error: z.ZodError): string {
  const [issue] = error.issues;
  return issue ? `${issue.path.join('/')}: ${issue.message}` : error.message;
}

function malformed(file: string, where: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.lock-malformed',
    what: `${file} cannot be read (${where}).`,
    fix: 'Make it again with `npm install --package-lock-only` and commit it.',
  });
}
