import { compare as comparePython, valid as isPython } from '@renovatebot/pep440';
import { SemVer } from 'semver';

import { compareDebianVersions } from '../../../../artifact/builders/node/base/debian-version.ts';
import { familyOf } from '../packages/package.ts';
import { compareAlpineVersions, isAlpineVersion } from './alpine-version.ts';

/** Below 0 where the first is older; null where one of them is no version there. */
export type Order = (one: string, other: string) => number | null;

/** How an ecosystem orders versions; null for one that nothing here knows. */
export function orderOf(ecosystem: string): Order | null {
  return ORDERS[familyOf(ecosystem)] ?? null;
}

const debian: Order = ordered((version) => /^(\d+:)?\d[A-Za-z0-9.+~:-]*$/.test(version), compareDebianVersions);
const alpine: Order = ordered(isAlpineVersion, compareAlpineVersions);

const semantic: Order = (one, other) => {
  const [left, right] = [semver(one), semver(other)];
  return left === null || right === null ? null : left.compare(right);
};

const ORDERS: Readonly<Record<string, Order>> = {
  npm: semantic,
  Go: semantic,
  'crates.io': semantic,
  PyPI: ordered((version) => isPython(version) !== null, comparePython),
  Debian: debian,
  Ubuntu: debian,
  Alpine: alpine,
  Wolfi: alpine,
  Chainguard: alpine,
};

/** The families that are matched here. */
export const FAMILIES = Object.keys(ORDERS);

function ordered(isVersion: (version: string) => boolean, compare: (one: string, other: string) => number): Order {
  return (one, other) => (isVersion(one) && isVersion(other) ? compare(one, other) : null);
}

function semver(version: string): SemVer | null {
  try {
    return new SemVer(version, { loose: true });
  } catch {
    return null;
  }
}
