import { sql } from 'kysely';

import { TowpathError } from '../lib/error.ts';
import type { Sql, Store } from '../store/database.ts';

export class LaneError extends TowpathError {}

/** How long a lane stays taken after its holder was last heard of. The holder says so three times as often. */
export const LANE_TTL_MS = 9000;

export type LaneAnswer =
  | { readonly kind: 'entered'; readonly token: bigint }
  | { readonly kind: 'taken'; readonly holder: string };

/**
 * Takes the lane of an environment: true mutual exclusion, by the database's clock alone. Its holder may enter again (after
 * a take-over by another worker) and gets a higher token each time, which fences whoever entered before.
 */
export async function enterLane(
  db: Sql,
  environmentId: string,
  holder: string,
  ttlMs = LANE_TTL_MS,
): Promise<LaneAnswer> {
  const entered = await sql<{ token: string | number }>`
    insert into lane (environment_id, holder, until, token)
    values (${environmentId}, ${holder}, clock_timestamp() + ${ttlMs} * interval '1 ms', 1)
    on conflict (environment_id) do update
      set holder = excluded.holder, until = excluded.until, token = lane.token + 1
      where lane.holder is null or lane.until < clock_timestamp() or lane.holder = excluded.holder
    returning token`.execute(db);
  const [row] = entered.rows;
  if (row !== undefined) return { kind: 'entered', token: BigInt(row.token) };
  const taken = await db
    .selectFrom('lane')
    .select('holder')
    .where('environment_id', '=', environmentId)
    .executeTakeFirst();
  return { kind: 'taken', holder: taken?.holder ?? 'another change' };
}

/** Takes the lane from whoever has it, when it is known that nobody works any more. @returns a token above all before */
export async function takeLane(db: Sql, environmentId: string, holder: string): Promise<bigint> {
  const { rows } = await sql<{ token: string | number }>`
    insert into lane (environment_id, holder, until, token)
    values (${environmentId}, ${holder}, clock_timestamp(), 1)
    on conflict (environment_id) do update
      set holder = excluded.holder, until = excluded.until, token = lane.token + 1
    returning token`.execute(db);
  return BigInt(rows[0]?.token ?? 1);
}

/** Who is in the lane, or was when it lapsed. */
export async function holderOf(db: Sql, environmentId: string): Promise<string | null> {
  const row = await db
    .selectFrom('lane')
    .select('holder')
    .where('environment_id', '=', environmentId)
    .executeTakeFirst();
  return row?.holder ?? null;
}

/**
 * Gives the lane back, if it is still the holder's. The token stays: it only ever rises.
 * @returns whether it was: nobody else was in it since
 */
export async function leaveLane(db: Sql, environmentId: string, holder: string): Promise<boolean> {
  const left = await db
    .updateTable('lane')
    .set({ holder: null, until: null })
    .where('environment_id', '=', environmentId)
    .where('holder', '=', holder)
    .executeTakeFirst();
  return left.numUpdatedRows > 0n;
}

/** @returns false when the lane is not this token's any more */
async function stayInLane(db: Sql, environmentId: string, token: bigint, ttlMs: number): Promise<boolean> {
  const row = await sql`
    update lane set until = clock_timestamp() + ${ttlMs} * interval '1 ms'
    where environment_id = ${environmentId} and token = ${token.toString()} and holder is not null`.execute(db);
  return (row.numAffectedRows ?? 0n) > 0n;
}

export interface LaneWork {
  readonly store: Store;
  readonly environmentId: string;
  readonly holder: string;
  readonly signal: AbortSignal;
  readonly ttlMs?: number;
}

/**
 * Works in the lane: it stays taken while the work really runs and was not told to end, and the work is aborted when the
 * lane is lost. It is not left at the end: the holder goes on with its next step and leaves when all is done; only a
 * cancel leaves at once.
 * @throws LaneError `lane.taken` when another holds it, `lane.lost` when it was lost under way
 */
export async function inLane<T>(
  { store, environmentId, holder, signal, ttlMs = LANE_TTL_MS }: LaneWork,
  work: (signal: AbortSignal, token: bigint) => Promise<T>,
): Promise<T> {
  const answer = await enterLane(store.db, environmentId, holder, ttlMs);
  if (answer.kind === 'taken') throw taken(answer.holder);
  const lost = new AbortController();
  let heardMs = performance.now();
  const beat = setInterval(() => {
    void stayInLane(store.db, environmentId, answer.token, ttlMs).then(
      (mine) => {
        if (mine) heardMs = performance.now();
        else lost.abort(lostLane());
      },
      () => {
        if (performance.now() - heardMs > ttlMs) lost.abort(lostLane());
      },
    );
  }, ttlMs / 3);
  // work that does not hear that it is to end must not keep others out: the lane lapses, and the token fences it
  const lapse = (): void => clearInterval(beat);
  signal.addEventListener('abort', lapse, { once: true });
  if (signal.aborted) lapse();
  try {
    return await work(AbortSignal.any([signal, lost.signal]), answer.token);
  } catch (error) {
    // ended from outside: no later step will leave the lane, and somebody waits for it
    if (signal.aborted) await leaveLane(store.db, environmentId, holder);
    throw lost.signal.aborted ? lostLane() : error;
  } finally {
    clearInterval(beat);
    signal.removeEventListener('abort', lapse);
  }
}

function taken(holder: string): LaneError {
  return new LaneError({
    code: 'lane.taken',
    what: `Another change (${holder}) works in this environment.`,
    fix: 'It is tried again when that one is done.',
  });
}

function lostLane(): LaneError {
  return new LaneError({
    code: 'lane.lost',
    what: 'The environment was taken over by another change while this one worked in it.',
    fix: 'Look at the newer promotion.',
  });
}
