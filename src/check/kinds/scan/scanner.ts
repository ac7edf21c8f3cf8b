import type { Advisories, AdvisoryDatabase } from '../../advisory.ts';
import type { Rating } from './advisories/severity.ts';
import type { InstalledPackage } from './packages/package.ts';

/** A weakness that is known of something that is installed. */
export interface Vulnerability {
  readonly installed: InstalledPackage;
  /** Of the advisory. */
  readonly id: string;
  /** Other names of the same. */
  readonly aliases: readonly string[];
  readonly rating: Rating;
  /** Versions that mend it, the lowest first; none where there is none yet, null where that is not said. */
  readonly fixed: readonly string[] | null;
}

/** What was looked into. */
export interface DatabaseSeen {
  /** As in "nothing was found; <source> of 2026-11-29". */
  readonly source: 'advisories' | 'a scan by Amazon ECR';
  /** Hex; whatever tells one state of it from another. */
  readonly digest: string;
  /** As of when it speaks, where that differs the oldest. */
  readonly atMs: number;
  /** Its newest word: of two states the later one is not older. */
  readonly newestMs: number;
}

/** Only `scanned` says something of the packages. */
export type Scanned =
  | {
      readonly kind: 'scanned';
      readonly vulnerabilities: readonly Vulnerability[];
      /** What was not looked at, so that to find nothing says nothing; a sentence without its full stop, null where all was. */
      readonly unseen: string | null;
      readonly database: DatabaseSeen;
    }
  /** There is nothing to look into; `why` is a sentence without its full stop. */
  | { readonly kind: 'no-data'; readonly why: string }
  | { readonly kind: 'broken'; readonly why: string };

/** Looks up what is known of packages. It answers `scanned` only when it came to its end. */
export interface Scanner {
  /** With its version. */
  readonly name: string;
  /** It looks at the image by itself, and may know of more than the packages that it is given. */
  readonly looksItself?: boolean;
  /** When to ask it again, where it does not look into the advisories of this server: it may know more by then. */
  readonly againAfterMs?: number;
  scan(packages: readonly InstalledPackage[], signal: AbortSignal): Promise<Scanned>;
}

/** What all scanners over the advisories of this server have in common: each ecosystem must be in them, and a source is looked up once. */
export async function lookUp(
  advisories: Advisories,
  packages: readonly InstalledPackage[],
  find: (
    known: readonly InstalledPackage[],
    database: AdvisoryDatabase,
  ) => Promise<Extract<Scanned, { kind: 'broken' }> | readonly Vulnerability[]>,
): Promise<Scanned> {
  const database = await advisories.current();
  if (database === null) return { kind: 'no-data', why: 'this server has no advisories' };
  const ecosystems = [...new Set(packages.map(({ ecosystem }) => ecosystem))];
  const missing = ecosystems.filter((ecosystem) => database.asOf(ecosystem) === null);
  const dates = ecosystems.flatMap((ecosystem) => database.asOf(ecosystem) ?? []);
  const { digest, newestMs } = database;
  const seen = { source: 'advisories' as const, digest, newestMs, atMs: Math.min(newestMs, ...dates) };
  const known = eachSource(packages.filter(({ ecosystem }) => !missing.includes(ecosystem)));
  const found = known.length === 0 ? [] : await find(known, database);
  if ('kind' in found) return found;
  const unseen = missing.length === 0 ? null : `this server has no advisories of ${named(missing)}`;
  return { kind: 'scanned', vulnerabilities: found, unseen, database: seen };
}

/** The first few. */
export function named(names: readonly string[]): string {
  return `${names.slice(0, NAMED).join(', ')}${names.length > NAMED ? ' and more' : ''}`;
}

const NAMED = 3;

/** One source may have brought many packages. */
function eachSource(packages: readonly InstalledPackage[]): InstalledPackage[] {
  const key = ({ ecosystem, name, version }: InstalledPackage): string => [ecosystem, name, version].join('\0');
  return [...new Map(packages.toReversed().map((one) => [key(one), one])).values()].reverse();
}
