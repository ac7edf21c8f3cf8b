import { SEVERITIES } from './advisories/severity.ts';
import { orderOf } from './advisories/order.ts';
import type { Vulnerability } from './scanner.ts';

/** Several databases tell of one weakness of a package: it is told once, as badly rated as any of them rates it. */
export function sameOnce(all: readonly Vulnerability[]): Vulnerability[] {
  const groups: Vulnerability[][] = [];
  for (const one of all) {
    const names = namesOf(one);
    const same = groups.filter((group) => group.some((other) => [...namesOf(other)].some((name) => names.has(name))));
    for (const group of same) groups.splice(groups.indexOf(group), 1);
    groups.push([...same.flat(), one]);
  }
  return groups.flatMap((group) => merged(group) ?? []);
}

function merged(group: readonly Vulnerability[]): Vulnerability | undefined {
  const [first] = group.toSorted((one, other) => rank(one.id) - rank(other.id) || (one.id < other.id ? -1 : 1));
  if (first === undefined || group.length === 1) return first;
  const names = new Set(group.flatMap((one) => [...namesOf(one)]));
  names.delete(first.id);
  const order = orderOf(first.installed.ecosystem);
  const versions = new Set(group.flatMap(({ fixed }) => fixed ?? []));
  const isUnsaid = versions.size === 0 && group.some(({ fixed }) => fixed === null);
  const fixed = isUnsaid ? null : [...versions].toSorted((one, other) => order?.(one, other) ?? 0);
  const rating = SEVERITIES.find((severity) => group.some((one) => one.rating === severity)) ?? 'unrated';
  return { ...first, aliases: [...names].sort(), rating, fixed };
}

function namesOf({ id, aliases }: Vulnerability): ReadonlySet<string> {
  return new Set([id, ...aliases]);
}

/** GitHub's advisories are what most people know. */
function rank(id: string): number {
  return id.startsWith('GHSA-') ? 0 : 1;
}
