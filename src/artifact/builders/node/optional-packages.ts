import semver from 'semver';

import { resolveFrom } from './lockfile.ts';
import type { Lockfile, LockEntry } from './lockfile.ts';

/** What packages are chosen for. Names as Node has them: `linux`, `x64`, `glibc`. */
export interface Target {
  readonly os: string;
  readonly cpu: string;
  readonly libc: string;
  /** Without the `v`; null where the base does not tell, and then no package may depend on it. */
  readonly nodeVersion: string | null;
  readonly npmVersion: string;
}

/**
 * The locations that npm 10 leaves out because an optional package does not suit the target: that package, what
 * cannot do without it up to the optional boundary, and what only these need. Children that are optional themselves
 * stay, as they do with npm.
 */
export function unsuitedOptionals({ packages, root }: Lockfile, target: Target): Set<string> {
  const failing = [...packages].filter(
    ([, entry]) => entry.optional === true && entry.inBundle !== true && !suits(entry, target),
  );
  if (failing.length === 0) return new Set();
  const edges = edgesOf(packages, root);
  const left = new Set<string>();
  for (const [location] of failing) for (const gone of optionalSet(location, edges)) left.add(gone);
  return left;
}

/** npm's checkEngine and checkPlatform. */
export function suits(entry: LockEntry, target: Target): boolean {
  return suitsPlatform(entry, target) && suitsEngines(entry.engines, target);
}

export function suitsPlatform(entry: LockEntry, target: Target): boolean {
  return (
    (entry.os === undefined || allows(entry.os, target.os)) &&
    (entry.cpu === undefined || allows(entry.cpu, target.cpu)) &&
    (entry.libc === undefined || allows(entry.libc, target.libc))
  );
}

function suitsEngines(engines: unknown, target: Target): boolean {
  if (typeof engines !== 'object' || engines === null) return true;
  const wanted = engines as { node?: unknown; npm?: unknown };
  const fits = (version: string | null, range: unknown) =>
    version === null ||
    typeof range !== 'string' ||
    range === '' ||
    semver.satisfies(version, range, { includePrerelease: true });
  return fits(target.nodeVersion, wanted.node) && fits(target.npmVersion, wanted.npm);
}

function allows(list: string | readonly string[], value: string): boolean {
  const words = typeof list === 'string' ? [list] : list;
  if (words.length === 1 && words[0] === 'any') return true;
  if (words.includes(`!${value}`)) return false;
  return words.includes(value) || words.every((word) => word.startsWith('!'));
}

interface Edge {
  readonly from: string;
  readonly to: string;
}

/** Who cannot do without whom: optional edges leave no trace here. */
interface Edges {
  readonly out: ReadonlyMap<string, readonly Edge[]>;
  readonly in: ReadonlyMap<string, readonly Edge[]>;
}

function edgesOf(packages: ReadonlyMap<string, LockEntry>, root: Lockfile['root']): Edges {
  const out = new Map<string, Edge[]>();
  const into = new Map<string, Edge[]>();
  const project = { ...root, dependencies: { ...root.devDependencies, ...root.dependencies } };
  for (const [from, entry] of [['', project] as const, ...packages]) {
    for (const name of requiredNames(entry)) {
      const to = resolveFrom(packages, from, name);
      if (to === undefined) continue;
      const edge = { from, to };
      out.set(from, [...(out.get(from) ?? []), edge]);
      into.set(to, [...(into.get(to) ?? []), edge]);
    }
  }
  return { out, in: into };
}

function requiredNames(
  entry: Pick<LockEntry, 'dependencies' | 'optionalDependencies' | 'peerDependencies' | 'peerDependenciesMeta'>,
): string[] {
  const optional = entry.optionalDependencies ?? {};
  const peers = Object.keys(entry.peerDependencies ?? {}).filter(
    (name) => entry.peerDependenciesMeta?.[name]?.optional !== true,
  );
  return [...Object.keys(entry.dependencies ?? {}), ...peers].filter((name) => !Object.hasOwn(optional, name));
}

function optionalSet(location: string, edges: Edges): Set<string> {
  const set = new Set([location]);
  for (const member of set) for (const { from } of edges.in.get(member) ?? []) set.add(from);
  for (const member of set) for (const { to } of edges.out.get(member) ?? []) set.add(to);
  for (let changed = true; changed;) {
    changed = false;
    for (const member of set) {
      if ((edges.in.get(member) ?? []).every(({ from }) => set.has(from))) continue;
      set.delete(member);
      changed = true;
    }
  }
  return set;
}
