import type { Advisory, Affected } from '../../../advisory.ts';
import { type InstalledPackage, familyOf } from '../packages/package.ts';
import { pythonName } from '../packages/installed.ts';
import { type Order, orderOf } from './order.ts';

type Event = NonNullable<Affected['ranges']>[number]['events'][number];

/**
 * Whether a package is affected, and by which versions that is mended.
 * A version that cannot be compared counts as affected: it must not be taken for a safe one.
 * @returns null where it is not
 * @see https://ossf.github.io/osv-schema/#evaluation
 */
export function affects(
  advisory: Advisory,
  installed: InstalledPackage,
): { readonly fixed: readonly string[]; readonly affected: readonly Affected[] } | null {
  if (advisory.withdrawn !== null && advisory.withdrawn !== undefined) return null;
  const order = orderOf(installed.ecosystem);
  const affected = (advisory.affected ?? []).filter(
    (one) =>
      one.package !== null &&
      one.package !== undefined &&
      isOf(one.package, installed) &&
      holds(one, installed.version, order),
  );
  if (affected.length === 0) return null;
  const { version } = installed;
  const fixes = affected
    .flatMap(({ ranges }) => ranges ?? [])
    .flatMap(({ events }) => events.flatMap(({ fixed }) => (fixed === undefined ? [] : [fixed])))
    .filter((fix) => (order?.(fix, version) ?? 1) > 0)
    .toSorted((one, other) => order?.(one, other) ?? 0);
  return { fixed: [...new Set(fixes)], affected };
}

export function isOf(
  named: { readonly ecosystem: string; readonly name: string },
  { ecosystem, name }: Pick<InstalledPackage, 'ecosystem' | 'name'>,
): boolean {
  return named.ecosystem === ecosystem && nameIn(named) === nameIn({ ecosystem, name });
}

/** A package may be written in several ways. */
export function nameIn({ ecosystem, name }: { readonly ecosystem: string; readonly name: string }): string {
  return familyOf(ecosystem) === 'PyPI' ? pythonName(name) : name;
}

function holds({ versions, ranges }: Affected, version: string, order: Order | null): boolean {
  if ((versions ?? []).includes(version)) return true;
  const comparable = (ranges ?? []).filter(({ type }) => type !== 'GIT');
  if (comparable.length === 0 && (ranges ?? []).length === 0 && (versions ?? []).length === 0) return true; // of all
  return comparable.some(({ events }) => inRange(events, version, order));
}

function inRange(events: readonly Event[], version: string, order: Order | null): boolean {
  const compare = (bound: string): number | null => (bound === '0' ? 1 : (order?.(version, bound) ?? null));
  const told = events.flatMap(boundsOf);
  const bounds = told.some(({ kind }) => kind === 'introduced')
    ? told
    : [{ kind: 'introduced' as const, at: '0' }, ...told];
  if (bounds.some(({ at }) => at !== '*' && compare(at) === null)) return true;
  const limits = bounds.filter(({ kind }) => kind === 'limit');
  if (limits.length > 0 && !limits.some(({ at }) => at === '*' || (compare(at) ?? 0) < 0)) return false;
  // those that hold for the version, the last of them rules
  const ruling = bounds
    .filter(({ kind, at }) => kind !== 'limit' && (compare(at) ?? 0) >= (kind === 'last_affected' ? 1 : 0))
    .toSorted((one, other) =>
      one.at === '0' ? (other.at === '0' ? 0 : -1) : other.at === '0' ? 1 : (order?.(one.at, other.at) ?? 0),
    )
    .at(-1);
  return ruling?.kind === 'introduced';
}

function boundsOf({ introduced, fixed, last_affected: last, limit }: Event) {
  return [
    ...(introduced === undefined ? [] : [{ kind: 'introduced' as const, at: introduced }]),
    ...(fixed === undefined ? [] : [{ kind: 'fixed' as const, at: fixed }]),
    ...(last === undefined ? [] : [{ kind: 'last_affected' as const, at: last }]),
    ...(limit === undefined ? [] : [{ kind: 'limit' as const, at: limit }]),
  ];
}
