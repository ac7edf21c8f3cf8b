import { z } from 'zod';

import { isInstalled, nameAt, parseLockfile } from '../../../../artifact/builders/node/lockfile.ts';
import { hasCode } from '../../../../lib/error.ts';
import { distributionOf } from './distribution.ts';
import type { InstalledPackage } from './package.ts';

/** The files of an image that say what is installed in it. */
export function saysWhatIsInstalled(path: string): boolean {
  return FILES.some((file) => file.test(path));
}

const NODE_MODULE = /^(.*?)(?:^|\/)node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/@.][^/]*\/package\.json$/;
const NPM_LOCK = /^(?:(.*)\/)?(?:package-lock|npm-shrinkwrap)\.json$/;
const PYTHON = /(?:^|\/)[^/]+\.(?:dist-info\/METADATA|egg-info\/PKG-INFO|egg-info)$/;
const DEBIAN = /^var\/lib\/dpkg\/(?:status|status\.d\/[^/]+)$/;
const ALPINE = /^(?:usr\/)?lib\/apk\/db\/installed$/;
const RELEASE = /^(?:etc|usr\/lib)\/os-release$/;
const FILES = [NODE_MODULE, NPM_LOCK, PYTHON, DEBIAN, ALPINE, RELEASE];

/** What these files say is installed. A list that cannot be read is told: what it would name must not go unseen. */
export function installedIn(files: ReadonlyMap<string, Buffer>): {
  readonly packages: readonly InstalledPackage[];
  readonly unreadable: readonly string[];
} {
  const distribution = distributionOf(textIn(files, 'etc/os-release') ?? textIn(files, 'usr/lib/os-release'));
  const folders = new Set([...files.keys()].flatMap((path) => NODE_MODULE.exec(path)?.[1] ?? []));
  const packages: InstalledPackage[] = [];
  const unreadable: string[] = [];
  for (const [path, bytes] of files) {
    const found = read(path, bytes.toString('utf8'), distribution, folders);
    if (found !== null) packages.push(...found);
    // Node cannot load what has a broken package.json, and some packages bring such as data of their tests
    else if (!NODE_MODULE.test(path)) unreadable.push(path);
  }
  return { packages: eachOnce(packages), unreadable };
}

function read(
  path: string,
  text: string,
  distribution: string,
  folders: ReadonlySet<string>,
): readonly InstalledPackage[] | null {
  if (NODE_MODULE.test(path)) return nodeModule(path, text);
  const lock = NPM_LOCK.exec(path);
  // what is installed beside it says more than what should have been
  if (lock !== null) return path.includes('node_modules/') || folders.has(lock[1] ?? '') ? [] : npmLock(path, text);
  if (PYTHON.test(path)) return python(path, text);
  if (DEBIAN.test(path)) return path.endsWith('.md5sums') ? [] : debian(path, text, distribution);
  if (ALPINE.test(path)) return alpine(path, text, distribution);
  return [];
}

const Manifest = z.object({ name: z.string().optional(), version: z.string().optional() });

function nodeModule(path: string, text: string): readonly InstalledPackage[] | null {
  const json = jsonOf(text);
  const manifest = Manifest.safeParse(json);
  if (json === undefined || !manifest.success) return null;
  const { name = nameAt(path.slice(0, -'/package.json'.length)), version } = manifest.data;
  // a folder that only says which kind of module lies in it
  return version === undefined ? [] : [{ ecosystem: 'npm', name, version, called: name, where: path }];
}

function npmLock(path: string, text: string): readonly InstalledPackage[] | null {
  try {
    const { packages, version } = parseLockfile(text);
    if (version < 2) return null;
    return [...packages].flatMap(([location, { name = nameAt(location), version: its, dev, link }]) =>
      !isInstalled(location) || dev === true || link === true || its === undefined
        ? []
        : [{ ecosystem: 'npm', name, version: its, called: name, where: path }],
    );
  } catch (error) {
    if (hasCode(error, 'artifact.lock-malformed')) return null;
    throw error;
  }
}

function python(path: string, text: string): readonly InstalledPackage[] | null {
  const [head = ''] = text.split(/\r?\n\r?\n/, 1);
  const name = fieldOf(head, 'Name');
  const version = fieldOf(head, 'Version');
  return name === undefined || version === undefined
    ? null
    : [{ ecosystem: 'PyPI', name: pythonName(name), version, called: name, where: path }];
}

/** @see https://packaging.python.org/en/latest/specifications/name-normalization/ */
export function pythonName(name: string): string {
  return name.toLowerCase().replaceAll(/[-_.]+/g, '-');
}

/** Advisories speak of the source package, which may have a version of its own. */
function debian(path: string, text: string, ecosystem: string): readonly InstalledPackage[] | null {
  const stanzas = text.split(/\n\s*\n/).filter((stanza) => stanza.trim() !== '');
  const found = stanzas.map((stanza): InstalledPackage | 'gone' | null => {
    const status = fieldOf(stanza, 'Status');
    if (status !== undefined && !status.endsWith(' installed')) return 'gone';
    const called = fieldOf(stanza, 'Package');
    const version = fieldOf(stanza, 'Version');
    if (called === undefined || version === undefined) return null;
    const [, name = called, itsVersion = version] =
      /^(\S+)(?:\s+\((.+)\))?$/.exec(fieldOf(stanza, 'Source') ?? called) ?? [];
    return { ecosystem, name, version: itsVersion, called, where: path };
  });
  if (found.includes(null)) return null;
  return found.filter((one) => one !== null && one !== 'gone');
}

/** @see https://wiki.alpinelinux.org/wiki/Apk_spec */
function alpine(path: string, text: string, ecosystem: string): readonly InstalledPackage[] | null {
  const stanzas = text.split(/\n\s*\n/).filter((stanza) => stanza.trim() !== '');
  const found = stanzas.map((stanza): InstalledPackage | null => {
    const [called, version] = [/^P:(.+)$/m.exec(stanza)?.[1], /^V:(.+)$/m.exec(stanza)?.[1]];
    if (called === undefined || version === undefined) return null;
    return { ecosystem, name: /^o:(.+)$/m.exec(stanza)?.[1] ?? called, version, called, where: path };
  });
  return found.includes(null) ? null : found.filter((one) => one !== null);
}

function fieldOf(text: string, field: string): string | undefined {
  return new RegExp(`^${field}:[ \\t]*(.+?)[ \\t\\r]*$`, 'm').exec(text)?.[1];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    return undefined;
  }
}

function textIn(files: ReadonlyMap<string, Buffer>, path: string): string | undefined {
  return files.get(path)?.toString('utf8');
}

function eachOnce(packages: readonly InstalledPackage[]): InstalledPackage[] {
  const key = ({ ecosystem, called, version }: InstalledPackage): string => `${ecosystem} ${called} ${version}`;
  return [...new Map(packages.toReversed().map((one) => [key(one), one])).values()].reverse();
}
