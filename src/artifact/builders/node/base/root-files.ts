import { posix } from 'node:path';

import type { LayerItem } from '../../../oci/layer.ts';
import type { DebianPackage } from './debian-package.ts';

/** Folders that Debian merged into /usr; packages of bookworm still ship files in the old places. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64'] as const;

/** What no program reads: the licences stay. */
const LEFT_OUT = /^usr\/share\/(man|info|lintian|locale|bug|doc-base)\/|^usr\/share\/doc\/(?!.*\/copyright$)/;

/**
 * The files of a root file system made of these packages, without running any of their scripts: what the scripts
 * would do for us (users, the bundle of certificate authorities, the time zone) is written here. The packages are
 * noted in `status.d`, where scanners look.
 */
export function rootItems(packages: readonly DebianPackage[]): LayerItem[] {
  const unpacked = packages.flatMap((pkg) => packageItems(pkg));
  const hasLib64 = unpacked.some(({ path }) => path.startsWith('usr/lib64/'));
  return [
    ...unpacked,
    ...MERGED.filter((name) => name !== 'lib64' || hasLib64).map((name) => symlink(name, `usr/${name}`)),
    text(
      'etc/passwd',
      'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n',
    ),
    text('etc/group', 'root:x:0:\ntty:x:5:\nnonroot:x:65532:\n'),
    text('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
    text('etc/timezone', 'Etc/UTC\n'),
    symlink('etc/localtime', '/usr/share/zoneinfo/Etc/UTC'),
    authorities(unpacked),
    { kind: 'folder', path: 'tmp', mode: 0o1777 },
    { kind: 'folder', path: 'home/nonroot' },
  ];
}

/** The files of one package, in merged places; hard links become files of their own. */
export function packageItems({ control, files }: DebianPackage): LayerItem[] {
  const items = new Map<string, LayerItem>();
  for (const { path, type, mode, target, body } of files) {
    const place = mergedPlace(path);
    if (place === '' || LEFT_OUT.test(`${place}${type === '5' ? '/' : ''}`)) continue;
    if (type === '5') {
      if (!MERGED.some((name) => name === place)) items.set(place, { kind: 'folder', path: place });
    } else if (type === '2') items.set(place, symlink(place, target));
    else if (type === '1') {
      const original = items.get(mergedPlace(target));
      if (original?.kind === 'file') items.set(place, { ...original, path: place });
    } else if (type === '0')
      items.set(place, { kind: 'file', path: place, executable: (mode & 0o100) !== 0, read: async () => body });
  }
  const name = /^Package: (\S+)$/m.exec(control)?.[1] ?? 'unknown';
  return [...items.values(), text(`var/lib/dpkg/status.d/${name}`, control)];
}

/** One bundle of all authorities, as update-ca-certificates writes it. */
function authorities(items: readonly LayerItem[]): LayerItem {
  const certificates = items
    .filter(({ path }) => /^usr\/share\/ca-certificates\/.+\.crt$/.test(path))
    .sort((one, other) => (one.path < other.path ? -1 : 1));
  return {
    kind: 'file',
    path: 'etc/ssl/certs/ca-certificates.crt',
    executable: false,
    read: async () => {
      const parts: string[] = [];
      for (const item of certificates)
        if (item.kind === 'file') parts.push(`${(await item.read()).toString('latin1').trimEnd()}\n`);
      return Buffer.from(parts.join(''), 'latin1');
    },
  };
}

function mergedPlace(path: string): string {
  const plain = posix.normalize(path).replace(/^(\.?\/)+|\/+$/g, '');
  if (plain === '.' || plain === '..' || plain.startsWith('../')) return '';
  const [first = ''] = plain.split('/');
  return MERGED.some((name) => name === first) ? `usr/${plain}` : plain;
}

function text(path: string, content: string): LayerItem {
  return { kind: 'file', path, executable: false, read: async () => Buffer.from(content) };
}

function symlink(path: string, target: string): LayerItem {
  return { kind: 'symlink', path, target };
}
