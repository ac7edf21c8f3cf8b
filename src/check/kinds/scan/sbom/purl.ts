import { pythonName } from '../packages/installed.ts';
import { familyOf, type InstalledPackage } from '../packages/package.ts';

const PURL =
  /^pkg:(?<type>[a-zA-Z0-9.+-]+)\/+(?<path>[^?#]+?)(?:@(?<version>[^@?#]+))?(?:\?(?<qualifiers>[^#]*))?(?:#.*)?$/;

/** Types of package URLs whose ecosystem is known without anything else. */
const ECOSYSTEMS: Readonly<Record<string, string>> = { npm: 'npm', pypi: 'PyPI', golang: 'Go', cargo: 'crates.io' };

/** Debian's and Ubuntu's releases by the names that some tools write. */
const RELEASES: Readonly<Record<string, string>> = {
  bullseye: '11',
  bookworm: '12',
  trixie: '13',
  focal: '20.04:LTS',
  jammy: '22.04:LTS',
  noble: '24.04:LTS',
};

/**
 * The package that a package URL names; null for one that names none, or no version. A type that advisories know otherwise, or not
 * at all, is its own ecosystem, of which no database has anything.
 * @see https://github.com/package-url/purl-spec
 */
export function packageOfPurl(purl: string, where: string): InstalledPackage | null {
  const { type, path, version: its, qualifiers } = PURL.exec(purl)?.groups ?? {};
  if (type === undefined || path === undefined || its === undefined) return null;
  try {
    const name = path.split('/').filter(Boolean).map(decodeURIComponent).join('/');
    const version = decodeURIComponent(its);
    const told = new URLSearchParams(qualifiers);
    const kind = type.toLowerCase();
    if (kind === 'deb' || kind === 'apk') return ofDistribution(name, version, told, where);
    const ecosystem = ECOSYSTEMS[kind] ?? kind;
    return { ecosystem, name: kind === 'pypi' ? pythonName(name) : name, version, called: name, where };
  } catch {
    return null; // a % that encodes nothing
  }
}

/** @param path `debian/libssl3`; syft tells the source as `upstream`, scalibr as `source` and `origin` */
function ofDistribution(path: string, version: string, told: URLSearchParams, where: string): InstalledPackage {
  const slash = path.lastIndexOf('/');
  const vendor = slash < 0 ? 'an unnamed Linux' : path.slice(0, slash);
  const called = path.slice(slash + 1);
  const [name = called, itsVersion = version] = (
    told.get('upstream') ??
    told.get('source') ??
    told.get('origin') ??
    called
  ).split('@');
  return { ecosystem: distributionIn(vendor, told.get('distro') ?? ''), name, version: itsVersion, called, where };
}

function distributionIn(vendor: string, distro: string): string {
  const family = `${vendor.slice(0, 1).toUpperCase()}${vendor.slice(1)}`;
  const release = RELEASES[distro] ?? distro.replace(/^[a-z]+-/, '');
  switch (familyOf(family)) {
    case 'Alpine':
      return release === '' ? family : `Alpine:v${release.replace(/^v/, '').split('.').slice(0, 2).join('.')}`;
    case 'Debian':
      return release === '' ? family : `Debian:${release.split('.')[0]}`;
    case 'Ubuntu':
      return /^\d+[02468]\.04$/.test(release) ? `Ubuntu:${release}:LTS` : `Ubuntu:${release}`;
    default:
      return family;
  }
}
