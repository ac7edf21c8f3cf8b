export interface PollSettings {
  /** Between two polls of a repository that is well. Default: 30 s. */
  readonly intervalMs: number;
  /** The longest pause after failures. Default: 30 min. */
  readonly longestPauseMs: number;
  /** When to look again after a wake-up that found nothing: a server may tell the world before its own mirrors. */
  readonly lookAgainMs: readonly number[];
}

export const POLL_SETTINGS: PollSettings = {
  intervalMs: 30_000,
  longestPauseMs: 30 * 60_000,
  lookAgainMs: [2_000, 10_000],
};

export interface PollFacts {
  readonly outcome: 'changed' | 'unchanged' | 'failed';
  /** Failures in a row before this poll. */
  readonly failures: number;
  readonly startedAt: number;
  readonly now: number;
  /** When somebody last asked to look, if that is not settled yet. */
  readonly wokenAt: number | null;
  /** How long the server asked us to stay away. */
  readonly retryAfterMs?: number | undefined;
}

export interface NextPoll {
  readonly at: number;
  readonly failures: number;
  readonly wokenAt: number | null;
}

/**
 * When to poll next. The pause is never the same twice (`chance`, 0 to 1), so that many repositories of one server do
 * not come at once; failures double it, so that a broken repository does not eat the patience of its server.
 */
export function planNextPoll(facts: PollFacts, settings: PollSettings, chance: number): NextPoll {
  const { outcome, now, startedAt, wokenAt } = facts;
  const isWokenSince = wokenAt !== null && wokenAt > startedAt;
  if (outcome === 'failed') {
    const failures = facts.failures + 1;
    const doubled = settings.intervalMs * 2 ** Math.min(failures, 30);
    const pause = Math.min(doubled, settings.longestPauseMs) * (0.5 + chance / 2);
    return { at: now + Math.max(pause, facts.retryAfterMs ?? 0), failures, wokenAt };
  }
  if (isWokenSince) return { at: now, failures: 0, wokenAt };
  const regular = now + settings.intervalMs * (0.8 + chance * 0.4);
  if (outcome === 'changed' || wokenAt === null) return { at: regular, failures: 0, wokenAt: null };
  const again = settings.lookAgainMs.map((pauseMs) => wokenAt + pauseMs).find((at) => at > startedAt);
  return again === undefined
    ? { at: regular, failures: 0, wokenAt: null }
    : { at: Math.max(again, now), failures: 0, wokenAt };
}
