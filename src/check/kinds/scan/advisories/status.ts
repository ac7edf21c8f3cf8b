import type { AdvisoryDatabase } from '../../../advisory.ts';
import { familyOf } from '../packages/package.ts';
import type { Sources } from './sources.ts';

/** What is said of the advisories of a machine; instants in ISO 8601. */
export interface AdvisoriesView {
  readonly directory: string;
  /** `stale`: something in them is older than it may be. */
  readonly state: 'fresh' | 'stale' | 'none';
  readonly records: number;
  /** As of when they speak: the ecosystem that is behind the others. */
  readonly at: string | null;
  readonly ageMs: number | null;
  readonly maxAgeMs: number;
  /** Each distribution once, by the newest of its releases. */
  readonly ecosystems: readonly EcosystemView[];
  readonly todo: string;
}

interface EcosystemView {
  readonly ecosystem: string;
  readonly records: number;
  readonly at: string;
  /** Whence it was fetched; null where somebody put it there. */
  readonly source: string | null;
  readonly releases: Readonly<Record<string, { readonly records: number; readonly at: string }>>;
}

/** What they have, whether that is new enough, and what to do. A release of a distribution that gets no advisories any more does not make the others old. */
export function statusOf(
  found: { readonly directory: string; readonly database: AdvisoryDatabase | null; readonly sources: Sources },
  { maxAgeMs, now }: { readonly maxAgeMs: number; readonly now: number },
): AdvisoriesView {
  const { directory, database, sources } = found;
  const ecosystems = byFamily(database, sources);
  const at = ecosystems.map((one) => one.at).sort()[0] ?? null;
  const ageMs = at === null ? null : now - Date.parse(at);
  const old = ecosystems.filter((one) => now - Date.parse(one.at) >= maxAgeMs);
  const state = at === null ? 'none' : old.length > 0 ? 'stale' : 'fresh';
  const records = database?.records ?? 0;
  return { directory, state, records, at, ageMs, maxAgeMs, ecosystems, todo: todoOf(state, old) };
}

function byFamily(database: AdvisoryDatabase | null, sources: Sources): EcosystemView[] {
  const families = new Map<string, Record<string, { records: number; at: string }>>();
  for (const [ecosystem, { records, atMs }] of database?.ecosystems ?? []) {
    const family = familyOf(ecosystem);
    families.set(family, { ...families.get(family), [ecosystem]: { records, at: new Date(atMs).toISOString() } });
  }
  return [...families]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([ecosystem, releases]) => {
      const all = Object.values(releases);
      return {
        ecosystem,
        records: all.reduce((sum, its) => sum + its.records, 0),
        at:
          all
            .map((its) => its.at)
            .sort()
            .at(-1) ?? '',
        source: sources[ecosystem]?.url ?? null,
        releases,
      };
    });
}

function todoOf(state: AdvisoriesView['state'], old: readonly EcosystemView[]): string {
  if (state === 'none') return 'name what your images have: `towpath scan db update npm Debian`.';
  if (state === 'fresh') return 'nothing is to be done.';
  const byHand = old.filter(({ source }) => source === null).map(({ ecosystem }) => ecosystem);
  const others = old.length > byHand.length ? ['`towpath scan db update`'] : [];
  const these =
    byHand.length === 0 ? [] : [`\`towpath scan db update ${byHand.join(' ')}\`, or put newer ones there by hand`];
  return `${[...others, ...these].join('; ')}.`;
}
