import { z } from 'zod';

import { groupBy } from '../../../../lib/group.ts';
import { FAMILIES } from '../advisories/order.ts';
import type { Severity } from '../advisories/severity.ts';
import { pythonName } from '../packages/installed.ts';
import { familyOf, type InstalledPackage, OF_DISTRIBUTIONS } from '../packages/package.ts';
import { sameOnce } from '../same.ts';
import type { Vulnerability } from '../scanner.ts';

export const Text = z.string().nullish();

/** Of basic scanning. */
export const BasicFinding = z.object({
  name: Text,
  uri: Text,
  severity: Text,
  attributes: z.array(z.object({ key: z.string(), value: Text })).nullish(),
});
type BasicFinding = z.infer<typeof BasicFinding>;

const VulnerablePackage = z.object({
  name: Text,
  epoch: z.number().nullish(),
  version: Text,
  release: Text,
  packageManager: Text,
  filePath: Text,
  fixedInVersion: Text,
});
type VulnerablePackage = z.infer<typeof VulnerablePackage>;

/** Of enhanced scanning, which is Amazon Inspector's. */
export const EnhancedFinding = z.object({
  findingArn: Text,
  title: Text,
  severity: Text,
  status: Text,
  fixAvailable: Text,
  packageVulnerabilityDetails: z
    .object({ vulnerabilityId: Text, vulnerablePackages: z.array(VulnerablePackage).nullish() })
    .nullish(),
});
type EnhancedFinding = z.infer<typeof EnhancedFinding>;

/** What findings are compared with. */
export interface Asked {
  /** Everything that was read from the image. */
  readonly installed: readonly InstalledPackage[];
  /** Families that are looked at; all where none are named. */
  readonly ecosystems: readonly string[] | undefined;
}

/** What findings of Amazon ECR say, each once for a package, and of those that are looked at. */
export function vulnerabilitiesOf(
  basic: readonly BasicFinding[],
  enhanced: readonly EnhancedFinding[],
  asked: Asked,
): Vulnerability[] {
  const all = [...basic.map((one) => ofBasic(one, asked)), ...enhanced.flatMap((one) => ofEnhanced(one, asked))];
  return eachOnce(all.filter(({ installed }) => isLookedAt(installed, asked)));
}

/** What has a name among the ecosystems, and is not named, is not looked at. */
function isLookedAt({ ecosystem }: InstalledPackage, { ecosystems }: Asked): boolean {
  const family = familyOf(ecosystem);
  return !FAMILIES.includes(family) || (ecosystems?.includes(family) ?? true);
}

function ofBasic({ name, uri, severity, attributes }: BasicFinding, { installed }: Asked): Vulnerability {
  const attribute = (key: string): string => attributes?.find((one) => one.key === key)?.value ?? '';
  return {
    installed: packageOf({ name: attribute('package_name'), version: attribute('package_version') }, 'OS', installed),
    id: name || uri || NAMELESS,
    aliases: [],
    rating: ratingOf(severity),
    fixed: null,
  };
}

/** Related vulnerabilities are no other names of it: who answers for one of them does not answer for this. */
function ofEnhanced(finding: EnhancedFinding, { installed }: Asked): Vulnerability[] {
  const { status, severity, title, findingArn, fixAvailable, packageVulnerabilityDetails: details } = finding;
  if (status === 'CLOSED') return []; // no longer so; what somebody suppressed there nobody answers for here
  const packages = details?.vulnerablePackages ?? [];
  return (packages.length === 0 ? [{}] : packages).map((one: VulnerablePackage) => ({
    installed: packageOf(one, one.packageManager ?? '', installed),
    id: details?.vulnerabilityId || title || findingArn || NAMELESS,
    aliases: [],
    rating: ratingOf(severity),
    fixed: fixedOf(one, fixAvailable),
  }));
}

const NAMELESS = 'a finding without a name';

const RATINGS: Readonly<Record<string, Severity>> = {
  CRITICAL: 'critical',
  HIGH: 'high',
  MEDIUM: 'medium',
  LOW: 'low',
  INFORMATIONAL: 'low',
};

/** `UNDEFINED`, `UNTRIAGED` and what is not known here: nobody has rated it. */
function ratingOf(severity: string | null | undefined): Vulnerability['rating'] {
  return RATINGS[severity ?? ''] ?? 'unrated';
}

function fixedOf({ fixedInVersion }: VulnerablePackage, available: string | null | undefined): string[] | null {
  if (fixedInVersion && /^\d|^v\d/.test(fixedInVersion)) return [fixedInVersion];
  return available === 'NO' ? [] : null;
}

/** By the word that Amazon Inspector has for what installed it. */
const MANAGERS: Readonly<Record<string, string>> = {
  NPM: 'npm',
  NODEPKG: 'npm',
  YARN: 'npm',
  PIP: 'PyPI',
  PIPENV: 'PyPI',
  POETRY: 'PyPI',
  PYTHONPKG: 'PyPI',
  GOBINARY: 'Go',
  GOMOD: 'Go',
  CARGO: 'crates.io',
};

/** As it was read from the image, where it was; else under the name that it is given. */
function packageOf(
  { name, epoch, version, release, filePath }: Partial<VulnerablePackage>,
  manager: string,
  installed: readonly InstalledPackage[],
): InstalledPackage {
  const family = MANAGERS[manager];
  const isOfBase = manager === 'OS';
  const plain = `${version || 'unknown'}${release ? `-${release}` : ''}`;
  const whole = epoch ? `${epoch}:${plain}` : plain;
  const itsName = family === 'PyPI' ? pythonName(name ?? '') : name || 'unknown';
  const candidates = installed.filter(({ ecosystem }) =>
    isOfBase ? OF_DISTRIBUTIONS.includes(familyOf(ecosystem)) : familyOf(ecosystem) === family,
  );
  const found = candidates.find(
    (one) => [one.name, one.called].includes(itsName) && [whole, plain].includes(one.version),
  );
  if (found !== undefined) return found;
  const ecosystem = isOfBase ? (candidates[0]?.ecosystem ?? 'OS') : (family ?? (manager || 'unknown'));
  return { ecosystem, name: itsName, version: whole, called: name || itsName, where: filePath || 'the image' };
}

/** A weakness of a package may be found in several layers. */
function eachOnce(all: readonly Vulnerability[]): Vulnerability[] {
  const key = ({ installed: { ecosystem, called, version } }: Vulnerability): string =>
    [ecosystem, called, version].join('\0');
  return [...groupBy(all, key).values()].flatMap((of) => sameOnce(of));
}
