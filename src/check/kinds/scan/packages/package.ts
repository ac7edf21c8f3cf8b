/** Something that is installed, under the name that advisories have for it. */
export interface InstalledPackage {
  /** As OSV calls it: `npm`, `PyPI`, `Debian:12`, `Alpine:v3.20`. */
  readonly ecosystem: string;
  readonly name: string;
  readonly version: string;
  /** What a person knows it by, where advisories speak of its source: `libssl3` of `openssl`. */
  readonly called: string;
  /** The file of the image that says so. */
  readonly where: string;
}

/** `Debian` of `Debian:12`. */
export function familyOf(ecosystem: string): string {
  return ecosystem.split(':', 1)[0] ?? ecosystem;
}

/** Families whose packages belong to the system of the image. */
export const OF_DISTRIBUTIONS: readonly string[] = ['Debian', 'Ubuntu', 'Alpine', 'Wolfi', 'Chainguard'];

/** A package URL. @see https://github.com/package-url/purl-spec */
export function purlOf({ ecosystem, name, version, called }: InstalledPackage): string {
  const family = familyOf(ecosystem);
  const type = PURL_TYPES[family] ?? 'generic';
  const release = ecosystem.slice(family.length + 1);
  const at = `@${encode(version)}`;
  if (type === 'npm' || type === 'golang') return `pkg:${type}/${name.split('/').map(encode).join('/')}${at}`;
  if (type !== 'deb' && type !== 'apk') return `pkg:${type}/${encode(name)}${at}`;
  const qualifiers = [
    ...(release === '' ? [] : [`distro=${family.toLowerCase()}-${encode(release.replace(/^v|:LTS$/g, ''))}`]),
    ...(called === name ? [] : [`upstream=${encode(name)}`]),
  ];
  return `pkg:${type}/${family.toLowerCase()}/${encode(called)}${at}${qualifiers.length === 0 ? '' : `?${qualifiers.join('&')}`}`;
}

const PURL_TYPES: Readonly<Record<string, string>> = {
  npm: 'npm',
  Go: 'golang',
  'crates.io': 'cargo',
  PyPI: 'pypi',
  Debian: 'deb',
  Ubuntu: 'deb',
  Alpine: 'apk',
  Wolfi: 'apk',
  Chainguard: 'apk',
};

function encode(text: string): string {
  return encodeURIComponent(text).replaceAll('%3A', ':');
}
