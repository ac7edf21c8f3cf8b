import { sql } from 'kysely';

import type { GitRef } from '../git/ref.ts';
import type { Problem } from '../lib/error.ts';
import { newId } from '../lib/ids.ts';
import { inParts } from '../lib/parts.ts';
import { json, type Sql, type Store, type Tx } from '../store/database.ts';
import type { NextPoll } from './poll-plan.ts';
import { planRefChanges, type ForcedMoves, type RefEvent } from './ref-change.ts';

/** Told on this channel: a repository wants to be polled now. The payload is its id. */
export const WAKE_CHANNEL = 'towpath_source_wake';

/** A repository that this process may poll until its lease ends. */
export interface ClaimedRepository {
  readonly id: string;
  readonly projectId: string;
  readonly url: string;
  /** What kind of server it is on, where somebody said so. */
  readonly host: string | null;
  /** A reference to a secret. */
  readonly credential: string | null;
  readonly defaultBranch: string;
  /** The path asks for pull requests. */
  readonly wantsPulls: boolean;
  /** The hash of the listing that the rows of `ref` show; `null` before the first poll. */
  readonly refsHash: string | null;
  readonly failures: number;
  readonly claimedAt: number;
  /** The fence: whoever else claims the repository writes another value, and ours no longer counts. */
  readonly leaseUntil: number;
}

/** What a poll found. */
export type PollOutcome =
  | { readonly kind: 'unchanged' }
  | {
      readonly kind: 'listed';
      readonly hash: string;
      readonly refs: readonly GitRef[];
      readonly defaultBranch: string | null;
      readonly forced: ForcedMoves;
    }
  | { readonly kind: 'failed'; readonly problem: Problem; readonly retryAfterMs?: number | undefined };

/** News of one repository, told inside the transaction that writes it down. */
export interface RefNews {
  readonly repositoryId: string;
  readonly projectId: string;
  readonly events: readonly RefEvent[];
  /** The first listing ever: every ref is `created`, though none may be new to the people who own it. */
  readonly isFirst: boolean;
  /** The first listing with pull requests in it: each is `created`, though it may have been closed for years. */
  readonly arePullsNew: boolean;
  /** The branch that the server's HEAD names (`refs/heads/main`), whatever the repository row says. */
  readonly defaultBranch: string | null;
}

export type OnNews = (tx: Tx, news: RefNews) => Promise<void>;

/** Takes up to `limit` repositories that are due and that nobody else polls. */
export async function claimDue(
  store: Store,
  { now, limit, leaseMs }: { readonly now: number; readonly limit: number; readonly leaseMs: number },
): Promise<ClaimedRepository[]> {
  const leaseUntil = new Date(now + leaseMs);
  const rows = await store.db
    // Materialised: else the planner may run the locking query more than once and take more than `limit`.
    .with(
      (name) => name('due').materialized(),
      (query) =>
        query
          .selectFrom('repository')
          .select('id')
          .where('left_at', 'is', null)
          .where('next_poll_at', '<=', new Date(now))
          .where((is) => is.or([is('lease_until', 'is', null), is('lease_until', '<=', new Date(now))]))
          .orderBy('next_poll_at')
          .limit(limit)
          .forUpdate()
          .skipLocked(),
    )
    .updateTable('repository')
    .from('due')
    .set({ lease_until: leaseUntil })
    .whereRef('repository.id', '=', 'due.id')
    .returning([
      'repository.id',
      'project_id',
      'url',
      'host',
      'credential',
      'default_branch',
      'refs_hash',
      'poll_failures',
      'wants_pulls',
    ])
    .execute();
  return rows.map((row) => ({
    id: row.id,
    projectId: row.project_id,
    url: row.url,
    host: row.host,
    credential: row.credential,
    defaultBranch: row.default_branch,
    wantsPulls: row.wants_pulls,
    refsHash: row.refs_hash,
    failures: row.poll_failures,
    claimedAt: now,
    leaseUntil: leaseUntil.getTime(),
  }));
}

/** The claim with a later end, or `null` when it is lost: then the poll must stop. */
export async function extendClaim(
  store: Store,
  claim: ClaimedRepository,
  leaseUntil: number,
): Promise<ClaimedRepository | null> {
  const { numUpdatedRows } = await store.db
    .updateTable('repository')
    .set({ lease_until: new Date(leaseUntil) })
    .where('id', '=', claim.id)
    .where('lease_until', '=', new Date(claim.leaseUntil))
    .executeTakeFirst();
  return numUpdatedRows === 1n ? { ...claim, leaseUntil } : null;
}

/** Gives a claim back unused, so that another process may poll at once. */
export async function releaseClaim(store: Store, claim: ClaimedRepository): Promise<void> {
  await store.db
    .updateTable('repository')
    .set({ lease_until: null })
    .where('id', '=', claim.id)
    .where('lease_until', '=', new Date(claim.leaseUntil))
    .execute();
}

/** The refs that the last poll saw, without those that were deleted. */
export async function knownRefs(db: Sql, repositoryId: string): Promise<GitRef[]> {
  const rows = await db
    .selectFrom('ref')
    .select(['name', 'oid', 'commit_sha'])
    .where('repository_id', '=', repositoryId)
    .where('deleted_at', 'is', null)
    .orderBy('name')
    .execute();
  return rows.map(({ name, oid, commit_sha }) => ({ name, oid, commit: commit_sha }));
}

/**
 * Writes a poll down: refs, events, the time of the next poll, and what `onNews` adds (the work that follows), all or
 * nothing. The comparison is made here, under the lock of the row, so that a slow poll cannot bring back old refs.
 * @param planNext given when somebody last asked to look: that may have been during this poll
 * @returns `stale` when the claim was lost meanwhile: nothing is written
 */
export async function recordPoll(
  store: Store,
  claim: ClaimedRepository,
  outcome: PollOutcome,
  {
    now,
    planNext,
    onNews,
  }: {
    readonly now: number;
    readonly planNext: (didChange: boolean, wokenAt: number | null) => NextPoll;
    readonly onNews: OnNews;
  },
): Promise<'stale' | readonly RefEvent[]> {
  return store.transaction(async (tx) => {
    const row = await tx
      .selectFrom('repository')
      .select(['lease_until', 'woken_at', 'refs_hash', 'lists_pulls'])
      .where('id', '=', claim.id)
      .forUpdate()
      .executeTakeFirst();
    if (row?.lease_until?.getTime() !== claim.leaseUntil) return 'stale';
    const events = outcome.kind === 'listed' ? await recordRefs(tx, claim.id, outcome, now) : [];
    const next = planNext(events.length > 0, row.woken_at?.getTime() ?? null);
    await tx
      .updateTable('repository')
      .set({
        lease_until: null,
        next_poll_at: new Date(next.at),
        woken_at: next.wokenAt === null ? null : new Date(next.wokenAt),
        poll_failures: next.failures,
        poll_error: outcome.kind === 'failed' ? json(outcome.problem) : null,
        ...(outcome.kind === 'failed' ? {} : { polled_at: new Date(now), lists_pulls: claim.wantsPulls }),
        ...(outcome.kind === 'listed' ? { refs_hash: outcome.hash } : {}),
      })
      .where('id', '=', claim.id)
      .execute();
    if (outcome.kind === 'listed' && (events.length > 0 || row.refs_hash !== outcome.hash)) {
      const { defaultBranch } = outcome;
      const isFirst = row.refs_hash === null;
      const arePullsNew = claim.wantsPulls && !row.lists_pulls;
      const { id: repositoryId, projectId } = claim;
      await onNews(tx, { repositoryId, projectId, events, isFirst, arePullsNew, defaultBranch });
    }
    return events;
  });
}

async function recordRefs(
  tx: Tx,
  repositoryId: string,
  outcome: PollOutcome & { kind: 'listed' },
  now: number,
): Promise<RefEvent[]> {
  const plan = planRefChanges(await knownRefs(tx, repositoryId), outcome.refs, outcome.forced);
  const at = new Date(now);
  for (const refs of inParts(plan.upserts, 5000)) {
    await tx
      .insertInto('ref')
      .values(
        refs.map(({ name, oid, commit }) => ({
          repository_id: repositoryId,
          name,
          oid,
          commit_sha: commit,
          seen_at: at,
        })),
      )
      .onConflict((row) =>
        row.columns(['repository_id', 'name']).doUpdateSet({
          oid: sql`excluded.oid`,
          commit_sha: sql`excluded.commit_sha`,
          seen_at: at,
          deleted_at: null,
        }),
      )
      .execute();
  }
  const deleted = plan.changes.filter(({ kind }) => kind === 'deleted').map(({ ref }) => ref);
  for (const names of inParts(deleted, 5000))
    await tx
      .updateTable('ref')
      .set({ deleted_at: at })
      .where('repository_id', '=', repositoryId)
      .where('name', 'in', names)
      .execute();
  const events = plan.changes.map((change) => ({ id: newId('rev', now), ...change }));
  for (const part of inParts(events, 5000)) {
    const rows = part.map(({ id, ref, kind, before, after }) => ({
      id,
      repository_id: repositoryId,
      ref,
      kind,
      before_sha: before,
      after_sha: after,
      seen_at: at,
    }));
    await tx.insertInto('ref_event').values(rows).execute();
  }
  return events;
}

/** When the next repository that nobody polls is due; `null` when there is none. */
export async function nextDueAt(db: Sql): Promise<number | null> {
  const { due } = await db
    .selectFrom('repository')
    .select((row) =>
      row.fn.min<Date | null>(sql`greatest(next_poll_at, coalesce(lease_until, next_poll_at))`).as('due'),
    )
    .where('left_at', 'is', null)
    .executeTakeFirstOrThrow();
  return due?.getTime() ?? null;
}
