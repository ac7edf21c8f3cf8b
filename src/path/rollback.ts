/** One time in which an environment ran a release, the newest first in a list of them. */
export interface TenureFacts {
  readonly releaseId: string;
  readonly fingerprint: string;
  readonly name: string;
  readonly yanked: boolean;
  readonly hasArtifacts: boolean;
}

export type RollbackTarget =
  | { readonly kind: 'target'; readonly releaseId: string; readonly name: string }
  | { readonly kind: 'none'; readonly reason: string };

/**
 * What a rollback would put back: the newest release before the present one with other artifacts, not yanked, whose
 * artifacts are all there. With `to`, that one, if the environment ever ran it.
 */
export function planRollback(
  tenures: readonly TenureFacts[],
  currentFingerprint: string | null,
  to?: string,
): RollbackTarget {
  if (currentFingerprint === null) return { kind: 'none', reason: 'Nothing has been live here yet.' };
  if (tenures.some(({ releaseId, fingerprint }) => releaseId === to && fingerprint === currentFingerprint))
    return { kind: 'none', reason: 'That is what runs here now.' };
  const candidates = tenures.filter(
    ({ fingerprint, releaseId }) => fingerprint !== currentFingerprint && (to === undefined || releaseId === to),
  );
  const [first] = candidates;
  if (first === undefined)
    return {
      kind: 'none',
      reason: to === undefined ? 'Nothing else has been live here before.' : 'That release was never live here.',
    };
  const usable = candidates.find(({ yanked, hasArtifacts }) => !yanked && hasArtifacts);
  if (usable !== undefined) return { kind: 'target', releaseId: usable.releaseId, name: usable.name };
  return {
    kind: 'none',
    reason: first.yanked ? `${first.name}, which ran before, is yanked.` : `The artifacts of ${first.name} are gone.`,
  };
}
