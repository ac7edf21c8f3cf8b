import type { Mirror } from '../git/mirror.ts';
import type { ListOptions, RefListing } from '../git/ls-refs.ts';
import { GitError } from '../git/git-error.ts';
import { isBranch, type GitRef } from '../git/ref.ts';
import type { Remote } from '../git/remote.ts';
import { createBell } from '../lib/bell.ts';
import type { Clock } from '../lib/clock.ts';
import { hasCode, problemOf } from '../lib/error.ts';
import type { Store } from '../store/database.ts';
import { planNextPoll, POLL_SETTINGS, type PollSettings } from './poll-plan.ts';
import {
  claimDue,
  extendClaim,
  knownRefs,
  nextDueAt,
  recordPoll,
  releaseClaim,
  WAKE_CHANNEL,
  type ClaimedRepository,
  type OnNews,
  type PollOutcome,
} from './poll-store.ts';
import { moveKey, planRefChanges, type ForcedMoves } from './ref-change.ts';
import { pullPrefix } from './pull-request.ts';
import { createServerQuiet, type ServerQuiet } from './server-quiet.ts';
import { SourceError } from './source-error.ts';

type HistoryMirror = Pick<Mirror, 'ensure' | 'has' | 'isAncestor'>;

export interface PollDeps {
  readonly store: Store;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly chance: () => number;
  readonly remoteOf: (repository: ClaimedRepository) => Remote;
  readonly list: (remote: Remote, options: ListOptions) => Promise<RefListing>;
  /** Only asked when a branch moved; the caller closes mirrors. */
  readonly mirrorOf: (repository: ClaimedRepository) => Promise<HistoryMirror>;
  /** Enqueues the work that follows, in the transaction that writes the events. */
  readonly onNews: OnNews;
  readonly settings?: PollSettings | undefined;
  /** Default: each run of the poller remembers its own. */
  readonly quiet?: ServerQuiet | undefined;
  readonly leaseMs?: number | undefined;
  /** How many repositories are polled at the same time by this process. */
  readonly concurrency?: number | undefined;
  /** Failures of the poller itself (the store is away); those of a repository are in its row. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

export interface PollResult {
  readonly repositoryId: string;
  readonly outcome: PollOutcome['kind'] | 'stale' | 'released';
  readonly events: number;
}

const LEASE_MS = 30_000;
const LONGEST_NAP_MS = 5_000;

/** Polls what is due now, each repository once, and returns what was found. */
export async function pollOnce(deps: PollDeps, signal?: AbortSignal): Promise<PollResult[]> {
  const { store, clock, leaseMs = LEASE_MS, concurrency = 8 } = deps;
  const results: PollResult[] = [];
  for (;;) {
    const claims = await claimDue(store, { now: clock.now(), limit: concurrency, leaseMs });
    const polled = new Set(results.map(({ repositoryId }) => repositoryId));
    results.push(...(await Promise.all(claims.map((claim) => pollRepository(deps, claim, signal)))));
    if (claims.length < concurrency || claims.some(({ id }) => polled.has(id))) return results;
  }
}

/**
 * Polls whatever comes due until `signal` ends it. Any number of processes may run it on one store. It sleeps until
 * the next repository is due, or until a wake-up is told.
 */
export async function runPoller(given: PollDeps, signal: AbortSignal): Promise<void> {
  const deps = { ...given, quiet: given.quiet ?? createServerQuiet() };
  const { store, clock, leaseMs = LEASE_MS, concurrency = 8, onError = () => undefined } = deps;
  const running = new Set<Promise<unknown>>();
  const bell = createBell(signal);
  const stopListening = await store.listen(WAKE_CHANNEL, () => bell.ring());
  try {
    while (!signal.aborted) {
      let napMs = LONGEST_NAP_MS;
      try {
        const limit = concurrency - running.size;
        const claims = limit > 0 ? await claimDue(store, { now: clock.now(), limit, leaseMs }) : [];
        for (const claim of claims) {
          const poll = pollRepository(deps, claim, signal)
            .catch(onError)
            .finally(() => {
              running.delete(poll);
              bell.ring();
            });
          running.add(poll);
        }
        if (limit > 0 && claims.length < limit) {
          const due = await nextDueAt(store.db);
          if (due !== null) napMs = Math.min(Math.max(due - clock.now(), 10), LONGEST_NAP_MS);
        } else if (claims.length === limit && limit > 0) {
          napMs = 0;
        }
      } catch (error) {
        onError(error);
      }
      await bell.wait(napMs);
    }
  } finally {
    await stopListening();
    await Promise.all(running);
  }
}

async function pollRepository(deps: PollDeps, claimed: ClaimedRepository, signal?: AbortSignal): Promise<PollResult> {
  const { store, clock, leaseMs = LEASE_MS, settings = POLL_SETTINGS } = deps;
  const keeper = keepClaim(deps, claimed, leaseMs, signal);
  let outcome: PollOutcome;
  try {
    deps.quiet?.check(claimed, clock);
    outcome = await look(deps, claimed, keeper.signal);
  } catch (error) {
    const retryAfterMs = retryAfterOf(error);
    if (retryAfterMs !== undefined) deps.quiet?.note(claimed, clock, retryAfterMs);
    outcome = { kind: 'failed', problem: problemOf(error, 'source.failed'), retryAfterMs };
  }
  const claim = await keeper.end();
  if (claim === null) return { repositoryId: claimed.id, outcome: 'stale', events: 0 };
  if (signal?.aborted === true && outcome.kind === 'failed') {
    await releaseClaim(store, claim);
    return { repositoryId: claim.id, outcome: 'released', events: 0 };
  }
  const now = clock.now();
  const recorded = await recordPoll(store, claim, outcome, {
    now,
    onNews: deps.onNews,
    planNext: (didChange, wokenAt) =>
      planNextPoll(
        {
          outcome: outcome.kind === 'failed' ? 'failed' : didChange ? 'changed' : 'unchanged',
          failures: claim.failures,
          startedAt: claim.claimedAt,
          now,
          wokenAt,
          retryAfterMs: outcome.kind === 'failed' ? outcome.retryAfterMs : undefined,
        },
        settings,
        deps.chance(),
      ),
  });
  return recorded === 'stale'
    ? { repositoryId: claim.id, outcome: 'stale', events: 0 }
    : { repositoryId: claim.id, outcome: outcome.kind, events: recorded.length };
}

async function look(deps: PollDeps, claim: ClaimedRepository, signal: AbortSignal): Promise<PollOutcome> {
  for (let attempt = 1; ; attempt++) {
    const listing = await deps.list(deps.remoteOf(claim), {
      pulls: claim.wantsPulls ? pullPrefix(claim) : undefined,
      known: claim.refsHash ?? undefined,
      now: deps.clock.now(),
      signal,
    });
    if (listing.kind === 'unchanged') return listing;
    const known = await knownRefs(deps.store.db, claim.id);
    if (listing.refs.length === 0 && known.length > 0) throw vanished(known.length);
    try {
      return { ...listing, forced: await findForced(deps, claim, known, listing.refs, signal) };
    } catch (error) {
      // A commit that was listed and is gone a moment later was force-pushed away between the two: look again.
      if (attempt > 1 || !hasCode(error, 'git.object-missing')) throw error;
    }
  }
}

/** Whether a branch was rewritten is a question of history, so it needs the mirror; most polls do not ask. */
async function findForced(
  deps: PollDeps,
  claim: ClaimedRepository,
  known: readonly GitRef[],
  listed: readonly GitRef[],
  signal: AbortSignal,
): Promise<ForcedMoves> {
  const forced = new Set<string>();
  const moves = planRefChanges(known, listed).changes.filter(({ kind, ref }) => kind === 'moved' && isBranch(ref));
  if (moves.length === 0) return forced;
  const mirror = await deps.mirrorOf(claim);
  for (const { before, after } of moves) {
    if (before === null || after === null) continue;
    if (!(await isForward(mirror, before, after, signal))) forced.add(moveKey(before, after));
  }
  return forced;
}

async function isForward(mirror: HistoryMirror, before: string, after: string, signal: AbortSignal): Promise<boolean> {
  try {
    await mirror.ensure(after, signal);
  } catch (error) {
    // One branch that git refuses must not silence the others; whoever builds this commit is told why it cannot be.
    if (hasCode(error, 'git.unsafe-object')) return false;
    throw error;
  }
  // The mirror holds all that `after` stands on: what it does not hold cannot be an ancestor.
  return (await mirror.has(before)) && mirror.isAncestor(before, after);
}

/** Keeps the lease while a long fetch goes on; ends the poll when the lease is lost all the same. */
function keepClaim(deps: PollDeps, claimed: ClaimedRepository, leaseMs: number, signal: AbortSignal | undefined) {
  const stop = new AbortController();
  const abort = (): void => stop.abort(); // not AbortSignal.any: it would keep every poll in memory as long as `signal` lives
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  let claim: ClaimedRepository | null = claimed;
  let extending: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    extending = extending.then(async () => {
      if (claim === null) return;
      claim = await extendClaim(deps.store, claim, deps.clock.now() + leaseMs).catch(() => claim);
      if (claim === null) abort();
    });
  }, leaseMs / 3);
  return {
    signal: stop.signal,
    end: async (): Promise<ClaimedRepository | null> => {
      clearInterval(timer);
      signal?.removeEventListener('abort', abort);
      await extending;
      return claim;
    },
  };
}

function retryAfterOf(error: unknown): number | undefined {
  return error instanceof GitError ? error.retryAfterMs : undefined;
}

/** A server that lost its disk, or a proxy that answers for it, would else delete every preview. */
function vanished(count: number): SourceError {
  return new SourceError({
    code: 'source.refs-vanished',
    what: `The git server lists no branch and no tag, where there were ${count}.`,
    fix: 'Look at the git server. If the repository was emptied on purpose, push one branch: then the rest counts as deleted.',
  });
}
