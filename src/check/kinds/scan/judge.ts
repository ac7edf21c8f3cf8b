import { formatDuration } from '../../../lib/duration.ts';
import type { CheckAnswer, ScanFacts } from '../../kind.ts';
import { shorten } from '../../report/report.ts';
import type { Finding } from '../../report/sarif.ts';
import { isAtLeast, type Severity, SEVERITIES } from './advisories/severity.ts';
import { type Allowance, allowanceFor } from './allow.ts';
import { familyOf, type InstalledPackage, OF_DISTRIBUTIONS } from './packages/package.ts';
import { named, type Scanned, type Scanner, type Vulnerability } from './scanner.ts';

/** What is wanted of a scan. */
export interface Limits {
  readonly failOn: Severity;
  readonly unrated: 'fail' | 'pass';
  readonly onlyFixed: boolean;
  readonly maxAge: number;
  readonly allow: readonly Allowance[];
  /** What documents allow besides. */
  readonly allowedBy?: (found: Vulnerability) => Allowance | null;
}

export interface ScanOutcome {
  readonly scanner: Omit<Scanner, 'scan'>;
  readonly packages: readonly InstalledPackage[];
  /** Lists of packages in the image that could not be read. */
  readonly unreadable: readonly string[];
  readonly scanned: Scanned;
}

/**
 * What a scan says. A vulnerability beyond the limit fails it, whatever else is unknown; that nothing was found counts only
 * where all was looked at, and in advisories that are new enough.
 */
export function judge(
  { scanner, packages, unreadable, scanned }: ScanOutcome,
  limits: Limits,
  nowMs: number,
): CheckAnswer {
  const told = (state: ScanFacts['state'], more: Partial<ScanFacts> = {}): { readonly scan: ScanFacts } => ({
    scan: {
      state,
      scanner: scanner.name,
      packages: packages.length,
      database: null,
      ...(scanner.againAfterMs === undefined ? {} : { againMs: nowMs + scanner.againAfterMs }),
      ...more,
    },
  });
  if (scanned.kind === 'broken') return { verdict: 'error', summary: scanned.why, ...told('error') };
  if (packages.length === 0 && unreadable.length === 0 && scanner.looksItself !== true)
    return { verdict: 'error', summary: 'the image names no package that is installed in it', ...told('no-data') };
  if (scanned.kind === 'no-data') return { verdict: 'error', summary: `${scanned.why}: ${GUIDE}`, ...told('no-data') };
  const { vulnerabilities, unseen, database } = scanned;
  const { source, digest, newestMs, atMs } = database;
  const seen = { database: { digest, newestMs, at: dayOf(atMs) } };
  const rated = vulnerabilities.map((one) => rate(one, limits, nowMs)).toSorted(worstFirst);
  const failing = rated.filter(({ level }) => level === 'error');
  const findings = {
    counts: {
      error: failing.length,
      warning: rated.filter(({ level }) => level === 'warning').length,
      note: rated.filter(({ level }) => level === 'note').length,
    },
    first: rated.slice(0, SHOWN).map(findingOf),
  };
  if (failing.length > 0)
    return { verdict: 'failed', summary: sayFailing(failing, limits.failOn), findings, ...told('fail', seen) };
  if (unreadable.length > 0)
    return { verdict: 'error', summary: `it cannot be read: ${named(unreadable)}`, findings, ...told('error', seen) };
  if (unseen !== null) return { verdict: 'error', summary: `${unseen}: ${GUIDE}`, findings, ...told('no-data', seen) };
  const staleMs = database.atMs + limits.maxAge;
  if (nowMs >= staleMs)
    return {
      verdict: 'error',
      summary: `it rests upon ${source} of ${dayOf(atMs)}, which may be at most ${formatDuration(limits.maxAge)} old: ${GUIDE}`,
      findings,
      ...told('stale-db', seen),
    };
  const allowed = rated.flatMap(({ level, allowance }) => (level === 'note' && allowance !== null ? [allowance] : []));
  const untilMs = Math.min(staleMs, ...allowed.map((entry) => entry.untilMs));
  const among = packages.length === 0 ? '' : ` in ${packages.length} ${packages.length === 1 ? 'package' : 'packages'}`;
  const below = findings.counts.warning === 0 ? '' : `, ${findings.counts.warning} below`;
  const excused =
    allowed.length === 0 ? '' : `, ${allowed.length} allowed (${named([...new Set(allowed.map(sayAllowed))])})`;
  return {
    verdict: 'passed',
    summary: `nothing ${LIMITS[limits.failOn]}${among}${below}${excused}; ${source} of ${dayOf(atMs)}`,
    findings,
    ...told('pass', { ...seen, untilMs }),
  };
}

const GUIDE = 'docs/guide/vulnerabilities.md says what to do';
const SHOWN = 50;
const NAMED = 3;
const LIMITS: Readonly<Record<Severity, string>> = {
  critical: 'critical',
  high: 'high or worse',
  medium: 'medium or worse',
  low: 'rated low or worse',
};

interface Rated {
  readonly found: Vulnerability;
  readonly level: Finding['level'];
  /** That counts, or that counted until it expired. */
  readonly allowance: Allowance | null;
}

function rate(found: Vulnerability, limits: Limits, nowMs: number): Rated {
  const { rating, fixed } = found;
  const isBad = rating === 'unrated' ? limits.unrated === 'fail' : isAtLeast(rating, limits.failOn);
  if (!isBad || (limits.onlyFixed && fixed?.length === 0)) return { found, level: 'warning', allowance: null };
  const allowance = longest([allowanceFor(found, limits.allow), limits.allowedBy?.(found) ?? null]);
  return { found, level: allowance !== null && nowMs < allowance.untilMs ? 'note' : 'error', allowance };
}

function longest(allowances: readonly (Allowance | null)[]): Allowance | null {
  const those = allowances.filter((one) => one !== null);
  return those.toSorted((one, other) => other.untilMs - one.untilMs)[0] ?? null;
}

function worstFirst(one: Rated, other: Rated): number {
  const rank = ({ level, found: { rating } }: Rated): number =>
    ['error', 'warning', 'note'].indexOf(level) * 10 + (rating === 'unrated' ? 0 : SEVERITIES.indexOf(rating) + 1);
  return rank(one) - rank(other) || (one.found.installed.called < other.found.installed.called ? -1 : 1);
}

function sayFailing(failing: readonly Rated[], limit: Severity): string {
  const each = failing.slice(0, NAMED).map(({ found, allowance }) => {
    const expired = allowance === null ? '' : ` (${allowance.owner} allowed it until ${lastDayOf(allowance)})`;
    return `${sayFound(found)}: ${sayRemedy(found)}${expired}`;
  });
  const more = failing.length > NAMED ? `; and ${failing.length - NAMED} more` : '';
  return shorten(
    `${failing.length} ${failing.length === 1 ? 'vulnerability' : 'vulnerabilities'} ${LIMITS[limit]}: ${each.join('; ')}${more}`,
    1000,
  );
}

function sayFound({ installed, id, aliases, rating }: Vulnerability): string {
  const { name, called, version } = installed;
  const source = called === name || familyOf(installed.ecosystem) === 'PyPI' ? '' : ` (of ${name})`;
  const cve = aliases.find((alias) => alias.startsWith('CVE-'));
  return `${called}@${version}${source} by ${id}${cve === undefined ? '' : ` (${cve})`}, ${rating === 'unrated' ? 'not rated' : rating}`;
}

function sayRemedy({ installed, fixed: versions }: Vulnerability): string {
  if (versions === null) return 'which version mends it is not said';
  const [fixed] = versions;
  const isOfBase = OF_DISTRIBUTIONS.includes(familyOf(installed.ecosystem));
  if (fixed === undefined) return 'no version is known to mend it';
  return isOfBase
    ? `fixed in ${fixed}, take a newer base image (\`towpath base refresh\`)`
    : `upgrade to ${fixed} or newer`;
}

function sayAllowed(entry: Allowance): string {
  return `${entry.id} by ${entry.owner} until ${lastDayOf(entry)}`;
}

function findingOf({ level, found, allowance }: Rated): Finding {
  const allowed =
    allowance === null ? '' : `; allowed by ${allowance.owner} until ${lastDayOf(allowance)}: ${allowance.reason}`;
  const { called, version, where } = found.installed;
  return {
    level,
    rule: shorten(found.id, 100),
    message: shorten(`${found.rating}; ${sayRemedy(found)}${allowed}`, 300),
    where: shorten(`${called}@${version} in ${where}`, 200),
  };
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function lastDayOf({ untilMs }: Allowance): string {
  return dayOf(untilMs - 1);
}
