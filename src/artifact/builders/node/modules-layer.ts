import { posix } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

import { limiter } from '../../../lib/limiter.ts';
import { ArtifactError } from '../../artifact-error.ts';
import type { LayerItem } from '../../oci/layer.ts';
import type { PlannedPackage } from './modules-plan.ts';
import { packageFiles } from './package-files.ts';
import type { PackageFile } from './package-files.ts';

/** So much unpacked source is kept in memory; packages beyond it are unpacked once more when their turn comes. */
const HOLD_BYTES = 192 * 1024 * 1024;
const UNPACKED_AT_ONCE = 24;
const MAX_UNPACKED_BYTES = 2 * 1024 ** 3;
const SMALLEST_PIECE_BYTES = 16 * 1024;
const LARGEST_PIECE_BYTES = 4 * 1024 * 1024;

const unzip = promisify(gunzip);

/** Raised by what only the content of a package tells, and npm has to see to. */
export class NeedsNpm extends Error {}

export interface UnpackOptions {
  readonly tarball: (pkg: PlannedPackage) => Promise<Buffer>;
  /** Folder of the layer that `node_modules` lies in: `app`. */
  readonly prefix: string;
  readonly runsScripts: boolean;
}

/**
 * The very files that `npm ci --ignore-scripts` writes for these packages, with the links in `.bin`, but not
 * `node_modules/.package-lock.json`. Nothing touches the disk.
 * @throws NeedsNpm for a package that npm would compile though its lock entry does not say so
 * @throws ArtifactError `artifact.archive-broken`
 */
export async function modulesItems(
  packages: readonly PlannedPackage[],
  { tarball, prefix, runsScripts }: UnpackOptions,
): Promise<LayerItem[]> {
  const held = new Map<string, Map<string, PackageFile>>();
  let heldBytes = 0;
  const unpack = async (pkg: PlannedPackage): Promise<Map<string, PackageFile>> => {
    const zipped = await tarball(pkg);
    try {
      return packageFiles(await unzip(zipped, { maxOutputLength: MAX_UNPACKED_BYTES, chunkSize: pieceFor(zipped) }));
    } catch (error) {
      throw unreadable(pkg, error);
    }
  };
  const index = new Map<string, FileOfLayer>();
  const limit = limiter(UNPACKED_AT_ONCE);
  await Promise.all(
    packages.map(async (pkg, order) => {
      if (pkg.integrity === undefined) return;
      const files = await limit(() => unpack(pkg));
      if (runsScripts && compiles(files)) throw new NeedsNpm(`${pkg.name} has a binding.gyp and no install script`);
      const size = [...files.values()].reduce((sum, { body }) => sum + body.length, 0);
      if (heldBytes + size <= HOLD_BYTES) {
        heldBytes += size;
        held.set(pkg.location, files);
      }
      for (const [path, { executable }] of files) {
        const whole = `${pkg.location}/${path}`;
        if ((index.get(whole)?.order ?? -1) > order) continue; // in a bundle and installed: the deeper package wins
        index.set(whole, { pkg, order, path, executable, shebang: false });
      }
    }),
  );
  const links = commandLinks(packages, index);
  const contents = recent(async (pkg: PlannedPackage) => held.get(pkg.location) ?? (await unpack(pkg)));
  return [
    ...[...index].map(([whole, { pkg, path, executable, shebang }]): LayerItem => ({
      kind: 'file',
      path: `${prefix}/${whole}`,
      executable,
      read: async () => {
        const body = (await contents(pkg)).get(path)?.body ?? Buffer.alloc(0);
        return shebang ? unixShebang(body) : body;
      },
    })),
    ...links.map(({ path, target }): LayerItem => ({ kind: 'symlink', path: `${prefix}/${path}`, target })),
  ];
}

function unreadable({ name, version }: PlannedPackage, cause: unknown): ArtifactError {
  return new ArtifactError(
    {
      code: 'artifact.archive-broken',
      what: `The package ${name}@${version} cannot be unpacked: ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: 'It was published so, or is made to fill the memory: take another version of it.',
    },
    { cause },
  );
}

/** As large as a gzip says that it becomes (RFC 1952, 2.3.1), within reason: so most packages are unpacked in one go. */
function pieceFor(zipped: Buffer): number {
  const said = zipped.length < 4 ? 0 : zipped.readUInt32LE(zipped.length - 4);
  return Math.min(Math.max(said, SMALLEST_PIECE_BYTES), LARGEST_PIECE_BYTES);
}

interface FileOfLayer {
  readonly pkg: PlannedPackage;
  readonly order: number;
  readonly path: string;
  executable: boolean;
  /** True when Windows line endings after `#!` are to be mended. */
  shebang: boolean;
}

/**
 * The links in `.bin`. Of two packages that want one command the first by depth and name gets it, even when its file
 * is not there. What is linked becomes executable, and a shebang that Windows wrote is mended.
 */
function commandLinks(
  packages: readonly PlannedPackage[],
  index: Map<string, FileOfLayer>,
): { path: string; target: string }[] {
  const folders = new Set<string>();
  for (const path of index.keys())
    for (let at = posix.dirname(path); !folders.has(at) && at !== '.'; at = posix.dirname(at)) folders.add(at);
  const taken = new Set<string>();
  const links: { path: string; target: string }[] = [];
  for (const { location, bin, resolved, integrity } of [...packages].sort(inNpmOrder)) {
    const bins = `${location.slice(0, location.lastIndexOf('node_modules/'))}node_modules/.bin`;
    for (const [command, file] of Object.entries(bin)) {
      const target = index.get(`${location}/${file}`);
      // Without `resolved` npm asks the registry for the manifest, and then every command's file is executable.
      if (target && resolved === undefined && integrity !== undefined) target.executable = true;
      const path = `${bins}/${command}`;
      if (taken.has(path)) continue;
      taken.add(path);
      if (!target && !folders.has(`${location}/${file}`)) continue;
      if (target) Object.assign(target, { executable: true, shebang: true });
      links.push({ path, target: posix.relative(bins, `${location}/${file}`) });
    }
  }
  return links;
}

/** As arborist sorts: by depth in the tree, then by path as English readers would. */
function inNpmOrder(one: PlannedPackage, other: PlannedPackage): number {
  const depth = ({ location }: PlannedPackage) => location.split('node_modules/').length;
  return depth(one) - depth(other) || one.location.localeCompare(other.location, 'en');
}

function compiles(files: ReadonlyMap<string, PackageFile>): boolean {
  if (!files.has('binding.gyp')) return false;
  try {
    const json = JSON.parse(files.get('package.json')?.body.toString('utf8') ?? '{}') as { gypfile?: unknown };
    return json.gypfile !== false;
  } catch {
    return true;
  }
}

function unixShebang(body: Buffer): Buffer {
  if (!/^#![^\n]+\r\n/.test(body.toString('utf8', 0, 2048))) return body;
  return Buffer.from(body.toString('utf8').replace(/^(#![^\n]+)\r\n/, '$1\n'));
}

/** Remembers the last few results: files of one package mostly follow each other. */
function recent<T>(load: (pkg: PlannedPackage) => Promise<T>): (pkg: PlannedPackage) => Promise<T> {
  const known = new Map<string, Promise<T>>();
  return (pkg) => {
    const found = known.get(pkg.location) ?? load(pkg);
    known.delete(pkg.location);
    known.set(pkg.location, found);
    const [oldest] = known.keys();
    if (known.size > 8 && oldest !== undefined) known.delete(oldest);
    return found;
  };
}

/** @throws ArtifactError `artifact.package-odd` when a file stands where another package needs a folder */
export function refuseFilesAsFolders(items: readonly LayerItem[]): void {
  const files = new Set(items.filter(({ kind }) => kind !== 'folder').map(({ path }) => path));
  for (const { path } of items)
    for (let at = posix.dirname(path); at !== '.'; at = posix.dirname(at))
      if (files.has(at))
        throw new ArtifactError({
          code: 'artifact.package-odd',
          what: `${at} is a file and a folder at once.`,
          fix: 'Look at the package that ships it; it cannot be installed as it is.',
        });
}
