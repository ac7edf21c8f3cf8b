/** One time in which an environment ran a release, the newest first in a list of them. */
export interface TenureFacts {
  readonly releaseId: string;
  readonly fingerprint: string;
  readonly name: string;
  readonly yanked: boolean;
  readonly hasArtifacts: boolean;
  /** A rollback brought it in, away from what ran until then. */
  readonly byRollback: boolean;
}

export interface RollbackWish {
  /** The release that is asked for; else the rule chooses. */
  readonly to?: string;
  /** The release of a rollback that is under way there. */
  readonly open?: string;
  /** A change ended half way there, so the present release may run in part, or not at all. */
  readonly unsure?: boolean;
}

export type RollbackTarget =
  | { readonly kind: 'target'; readonly releaseId: string; readonly name: string }
  | { readonly kind: 'none'; readonly reason: string };

/**
 * What a rollback would put back: the newest release before the present one with other artifacts, not yanked, whose
 * artifacts are all there, and which no rollback stepped away from. While one is under way, what that one brings: two who
 * see the same trouble do not step back twice. With `to`, that one, if the environment ever ran it. Into one that was emptied,
 * what ran last.
 */
export function planRollback(
  tenures: readonly TenureFacts[],
  currentFingerprint: string | null,
  { to, open, unsure = false }: RollbackWish = {},
): RollbackTarget {
  if (currentFingerprint === null && tenures.length === 0) return none('Nothing has been live here yet.');
  const coming = tenures.find((one) => one.releaseId === open && isUsable(one));
  if (coming !== undefined && (to === undefined || to === open)) return target(coming);
  if (!unsure && tenures.some(({ releaseId, fingerprint }) => releaseId === to && fingerprint === currentFingerprint))
    return none('That is what runs here now.');
  const others = tenures.filter(({ fingerprint }) => fingerprint !== currentFingerprint);
  const left = leftBehind(tenures);
  const candidates =
    to === undefined
      ? others.filter(({ fingerprint }) => !left.has(fingerprint))
      : tenures.filter(({ releaseId }) => releaseId === to);
  const usable = candidates.find(isUsable);
  if (usable !== undefined) return target(usable);
  const [first] = candidates;
  if (first !== undefined)
    return none(
      first.yanked
        ? `${first.name}, which ran before, is yanked.`
        : `The artifacts of ${first.name} are gone; \`towpath build\` with its number brings them back.`,
    );
  if (to !== undefined) return none('That release was never live here.');
  const [before] = others;
  if (before === undefined) return none('Nothing else has been live here before.');
  return none(`${before.name} ran before and was rolled back from; \`--to\` brings it in all the same.`);
}

/** The artifacts that a rollback stepped away from, and that did not come back since. */
function leftBehind(tenures: readonly TenureFacts[]): ReadonlySet<string> {
  const seen = new Set<string>();
  const left = new Set<string>();
  for (const [i, { fingerprint }] of tenures.entries()) {
    if (!seen.has(fingerprint) && tenures[i - 1]?.byRollback === true) left.add(fingerprint);
    seen.add(fingerprint);
  }
  return left;
}

function isUsable({ yanked, hasArtifacts }: TenureFacts): boolean {
  return !yanked && hasArtifacts;
}

function target({ releaseId, name }: TenureFacts): RollbackTarget {
  return { kind: 'target', releaseId, name };
}

function none(reason: string): RollbackTarget {
  return { kind: 'none', reason };
}
