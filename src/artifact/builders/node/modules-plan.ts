import { canonicalJson } from '../../../lib/digest.ts';
import { isInstalled, nameAt } from './lockfile.ts';
import type { Lockfile, LockEntry, PackageJson } from './lockfile.ts';
import { parseIntegrity } from './integrity.ts';
import { suitsPlatform, unsuitedOptionals } from './optional-packages.ts';
import type { Target } from './optional-packages.ts';

/** One package to unpack: what is in a bundle comes with the package around it and has only its commands here. */
export interface PlannedPackage {
  readonly location: string;
  readonly name: string;
  readonly version: string;
  readonly resolved?: string;
  /** Absent for what comes in the bundle of another package. */
  readonly integrity?: string;
  /** Command -> path within the package. */
  readonly bin: Readonly<Record<string, string>>;
}

/** How the `node_modules` layer is made: not at all, straight from the lock file, or by npm in the base image. */
export type ModulesPlan =
  | { readonly kind: 'none' }
  | { readonly kind: 'direct'; readonly packages: readonly PlannedPackage[] }
  | {
      readonly kind: 'npm';
      readonly reasons: readonly [string, ...string[]];
      /** True when npm needs more of the source than package.json and the lock file. */
      readonly wholeSource: boolean;
      /** Packages that npm will fetch, for the provenance. */
      readonly packages: readonly PlannedPackage[];
    };

export interface ModulesQuestion {
  readonly packageJson: PackageJson;
  readonly lock: Lockfile;
  /** The settings of the project's own `.npmrc`. */
  readonly npmrc: Readonly<Record<string, string>>;
  readonly target: Target;
  readonly dependencies: 'all' | 'production';
  readonly installScripts: 'run' | 'ignore';
}

/** Settings that do not change what `npm ci` writes, or that we honour ourselves. */
const HARMLESS = new Set(
  `registry ignore-scripts fund audit audit-level save-exact save-prefix save package-lock engine-strict loglevel progress
  update-notifier prefer-offline prefer-dedupe fetch-retries fetch-timeout fetch-retry-mintimeout fetch-retry-maxtimeout
  maxsockets omit-lockfile-registry-resolved lockfile-version message tag-version-prefix init-version color always-auth
  strict-ssl node-options legacy-peer-deps strict-peer-deps auto-install-peers min-release-age allow-git`.split(/\s+/),
);

/** Decides how the layer is made. What npm would do differently than we can goes to npm. */
export function planModules(question: ModulesQuestion): ModulesPlan {
  const { packageJson, lock, npmrc, target } = question;
  const runsScripts = question.installScripts === 'run' && npmrc['ignore-scripts'] !== 'true';
  const chosen = chosenPackages(question);
  const linked = [...lock.packages].filter(([location, entry]) => entry.link === true || !isInstalled(location));
  const ownScripts = ['preinstall', 'install', 'postinstall'].filter((name) => packageJson.scripts?.[name]);
  const reasons = [
    ...(lock.version < 2 || lock.version > 3 ? [`the lock file has version ${lock.version}`] : []),
    ...(sameDependencies(packageJson, lock.root) ? [] : ['package.json and the lock file differ']),
    ...unknownSettings(npmrc),
    ...(linked.length > 0 ? [`it links folders (${linked[0]?.[0] ?? ''})`] : []),
    ...(runsScripts && ownScripts.length > 0 ? [`package.json has a script "${ownScripts[0] ?? ''}"`] : []),
    ...chosen.flatMap(([location, entry]) => reasonAgainst(location, entry, target, runsScripts)),
  ];
  const packages = chosen
    .filter(([location]) => isInstalled(location))
    .map(([location, entry]) => planned(location, entry));
  const [first, ...others] = reasons;
  if (first !== undefined) {
    const wholeSource = linked.length > 0 || (runsScripts && ownScripts.length > 0);
    return { kind: 'npm', reasons: [first, ...others], wholeSource, packages };
  }
  return packages.length === 0 ? { kind: 'none' } : { kind: 'direct', packages };
}

function chosenPackages({ lock, target, dependencies }: ModulesQuestion): [string, LockEntry][] {
  const unsuited = unsuitedOptionals(lock, target);
  return [...lock.packages]
    .filter(([location, entry]) => !unsuited.has(location) && !(dependencies === 'production' && entry.dev === true))
    .sort(([one], [other]) => (one < other ? -1 : 1));
}

function reasonAgainst(location: string, entry: LockEntry, target: Target, runsScripts: boolean): string[] {
  if (entry.link === true || !isInstalled(location)) return [];
  if (runsScripts && entry.hasInstallScript === true) return [`${nameAt(location)} has an install script`];
  if (entry.inBundle === true) return [];
  if (target.nodeVersion === null && entry.optional === true && asksForNode(entry.engines))
    return [`the base does not tell its version of Node, which ${nameAt(location)} depends on`];
  if (!suitsPlatform(entry, target)) return [`${nameAt(location)} is not for ${target.os}/${target.cpu}`];
  if (entry.version === undefined) return [`${nameAt(location)} has no version`];
  if (entry.integrity === undefined || parseIntegrity(entry.integrity) === null)
    return [`${nameAt(location)} has no integrity`];
  if (entry.resolved !== undefined && !isTarball(entry.resolved)) return [`${nameAt(location)} is not from a registry`];
  return [];
}

function asksForNode(engines: unknown): boolean {
  return typeof engines === 'object' && engines !== null && 'node' in engines;
}

function isTarball(resolved: string | boolean): boolean {
  if (typeof resolved !== 'string' || !URL.canParse(resolved)) return false;
  const { protocol, username, password } = new URL(resolved);
  return /^https?:$/.test(protocol) && username === '' && password === ''; // a password in an address is not for us
}

function planned(location: string, entry: LockEntry): PlannedPackage {
  const name = entry.name ?? nameAt(location);
  return {
    location,
    name,
    version: entry.version ?? '',
    ...(typeof entry.resolved === 'string' ? { resolved: entry.resolved } : {}),
    ...(entry.inBundle === true || entry.integrity === undefined ? {} : { integrity: entry.integrity }),
    bin: normalBin(name, entry.bin),
  };
}

/** As npm-normalize-package-bin: no command outside `.bin`, no target outside the package. */
function normalBin(name: string, bin: LockEntry['bin']): Record<string, string> {
  const commands = typeof bin === 'string' ? { [name]: bin } : (bin ?? {});
  return Object.fromEntries(
    Object.entries(commands).flatMap(([command, target]) => {
      const key = lastPart(command.replace(/[\\:]/g, '/'));
      const path = withinRoot(target.replaceAll('\\', '/'));
      return key === '' || path === '' ? [] : [[key, path] as const];
    }),
  );
}

function lastPart(path: string): string {
  const [last = ''] = withinRoot(path).split('/').slice(-1);
  return last;
}

/** A path with `.` and `..` taken out, as if its root were `/`. */
function withinRoot(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function unknownSettings(npmrc: Readonly<Record<string, string>>): string[] {
  return Object.keys(npmrc)
    .filter((key) => !HARMLESS.has(key) && !key.startsWith('//') && !/^@[^/]+:registry$/.test(key))
    .map((key) => `.npmrc sets "${key}"`);
}

function sameDependencies(one: PackageJson, other: Lockfile['root']): boolean {
  const kinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'] as const;
  return kinds.every((kind) => {
    const names = (from: PackageJson | Lockfile['root']) =>
      Object.fromEntries(
        Object.entries(from[kind] ?? {}).filter(
          ([name]) => kind !== 'dependencies' || from.optionalDependencies?.[name] === undefined,
        ),
      );
    return canonicalJson(names(one)) === canonicalJson(names(other));
  });
}
