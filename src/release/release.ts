import { reportCommand } from '../artifact/report.ts';
import type { Digest } from '../lib/digest.ts';
import { hashOfJson } from '../lib/digest.ts';
import type { Problem } from '../lib/error.ts';
import { TowpathError } from '../lib/error.ts';

export class ReleaseError extends TowpathError {}

/** A commit and, for each service, its artifact. A mixed release takes services from several commits. */
export interface Release {
  readonly id: string;
  readonly number: number;
  readonly projectId: string;
  readonly repositoryId: string;
  readonly commit: string;
  /** The how manieth set of artifacts of its commit: each time that pins of base images moved, the next. */
  readonly edition: number;
  readonly mixed: boolean;
  readonly fingerprint: string;
  readonly state: 'building' | 'ready' | 'failed';
  readonly problem: Problem | null;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly yank: { readonly reason: string; readonly by: string; readonly at: Date } | null;
  readonly services: readonly ReleaseService[];
}

/** All of a release but its services, which may be a thousand. */
export type ReleaseHead = Omit<Release, 'services'>;

export interface ReleaseService {
  readonly service: string;
  /** A base runs nowhere: it counts through what is built upon it. */
  readonly isBase: boolean;
  readonly commit: string;
  readonly key: string;
  readonly state: 'building' | 'built' | 'failed';
  /** `<project>/<service>` in the registry: where it has its names. */
  readonly repository: string;
  /** Where it was built: elsewhere when a service with the same contents had it first. */
  readonly builtIn: string;
  readonly digest: Digest | null;
  readonly builtFor: string;
  readonly logId: string;
  readonly problem: Problem | null;
  /** Until when the report of another CI is waited for, which builds it; null for what is built here. */
  readonly reportUntil: Date | null;
}

/** Two releases with one fingerprint are the same thing to run, whatever commits they come from. */
export function fingerprintOf(keys: Readonly<Record<string, string>>): string {
  return hashOfJson(keys);
}

/**
 * How people call a release: its tag, else its short commit (with its edition, from the second on: `4f2a91c.2`); a mix by
 * its base and what it takes from elsewhere.
 */
export function nameOf(
  release: Pick<Release, 'commit' | 'edition' | 'mixed' | 'services'>,
  refs: readonly string[],
): string {
  const tag = refs.find((ref) => ref.startsWith('refs/tags/'));
  if (tag !== undefined) return tag.slice('refs/tags/'.length);
  const others = release.services.filter(({ commit }) => commit !== release.commit);
  const short = `${release.commit.slice(0, 7)}${release.edition > 1 ? `.${release.edition}` : ''}`;
  if (!release.mixed || others.length === 0) return short;
  return `${short} with ${others.map(({ service, commit }) => `${service} of ${commit.slice(0, 7)}`).join(', ')}`;
}

/**
 * What its artifacts make of a release: all there makes it ready, one that failed makes it failed. Bases count only
 * through what is built upon them, unless there is nothing else.
 */
export function stateOf(
  parts: readonly Pick<ReleaseService, 'service' | 'isBase' | 'state' | 'problem'>[],
): Pick<Release, 'state' | 'problem'> {
  const running = parts.filter(({ isBase }) => !isBase);
  const counted = running.length === 0 ? parts : running;
  const failed = counted.find(({ state }) => state === 'failed');
  if (failed === undefined)
    return { state: counted.every(({ state }) => state === 'built') ? 'ready' : 'building', problem: null };
  const { what = 'the build failed.', fix = 'Read its log.' } = failed.problem ?? {};
  return {
    state: 'failed',
    problem: { code: 'release.build-failed', what: `"${failed.service}" has no artifact: ${what}`, fix },
  };
}

/** The reports of other CIs that a release waits for, a sentence each. */
export function reportsWanted(
  services: readonly Pick<ReleaseService, 'service' | 'commit' | 'state' | 'reportUntil'>[],
): { readonly what: string; readonly untilMs: number }[] {
  return services.flatMap(({ service, commit, state, reportUntil }) =>
    state !== 'building' || reportUntil === null
      ? []
      : [
          {
            what: `Another CI builds "${service}": it waits for ${reportCommand({ service, commit })}.`,
            untilMs: reportUntil.getTime(),
          },
        ],
  );
}

/** From the commit that something runs, to the commit that would run in its place. */
export interface Span {
  readonly from: string | null;
  readonly to: string;
}

/** The spans of commits that a release brings beyond another: one for a whole release, one for each origin of a mix. */
export function spansBetween(from: Release | null, to: Release): Span[] {
  const spans = to.services.map(({ service, commit }) => ({
    from: from?.services.find((part) => part.service === service)?.commit ?? from?.commit ?? null,
    to: commit,
  }));
  const whole = { from: from?.commit ?? null, to: to.commit };
  return [...new Map((spans.length === 0 ? [whole] : spans).map((span) => [`${span.from} ${span.to}`, span])).values()];
}

/** A mixed release: services from others put over those of a base; every named service must exist somewhere. */
export function planMix(
  base: readonly ReleaseService[],
  chosen: Readonly<Record<string, readonly ReleaseService[]>>,
): ReleaseService[] {
  const parts = new Map(base.map((part) => [part.service, part]));
  for (const [service, from] of Object.entries(chosen)) {
    const part = from.find((one) => one.service === service);
    if (part === undefined) {
      const known = [...new Set([...base, ...from].map((one) => one.service))].toSorted().join(', ');
      throw new ReleaseError({
        code: 'release.no-such-service',
        what: `The release named for "${service}" has no service of that name.`,
        fix: `Name one of: ${known}.`,
      });
    }
    parts.set(service, part);
  }
  return [...parts.values()].toSorted((a, b) => (a.service < b.service ? -1 : 1));
}
