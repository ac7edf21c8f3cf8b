import { sql } from 'kysely';

import { newId } from '../lib/ids.ts';
import { json, type Sql } from '../store/database.ts';
import { isEnded, isNews, mayMove, type PromotionDetail, type PromotionState } from './promotion.ts';

/** One attempt to bring a release into an environment, as it is stored. */
export interface Promotion {
  readonly id: string;
  readonly number: number;
  readonly projectId: string;
  readonly environmentId: string;
  readonly releaseId: string;
  readonly kind: 'promotion' | 'rollback' | 'removal';
  readonly automatic: boolean;
  readonly requestedBy: string;
  readonly cause: string;
  /** Full names of the branches and tags that asked for it; none when a person did, or Towpath itself. */
  readonly refs: readonly string[];
  readonly state: PromotionState;
  readonly detail: PromotionDetail;
  readonly token: bigint;
  readonly runs: number;
  readonly wakeAt: Date | null;
  readonly previousReleaseId: string | null;
  readonly logId: string;
  readonly createdAt: Date;
  readonly changedAt: Date;
  readonly endedAt: Date | null;
}

export interface PromotionToRequest {
  readonly projectId: string;
  readonly environmentId: string;
  readonly releaseId: string;
  readonly kind: Promotion['kind'];
  readonly automatic: boolean;
  readonly requestedBy: string;
  readonly cause: string;
  /** The branch or tag that asks, by its full name. */
  readonly ref?: string;
}

/**
 * Writes a wish down. Automation that asks for what is asked for already (same release, same environment, still open)
 * gets the open one, which then stands for as long as one of the refs that asked does; a person's wish is always a new one.
 */
export async function requestPromotion(db: Sql, wish: PromotionToRequest): Promise<Promotion> {
  if (wish.automatic) {
    // one at a time, so that two who ask at once get one promotion
    await db.selectFrom('environment').select('id').where('id', '=', wish.environmentId).forUpdate().execute();
    const open = await db
      .selectFrom('promotion')
      .selectAll()
      .where('environment_id', '=', wish.environmentId)
      .where('release_id', '=', wish.releaseId)
      .where('kind', '=', wish.kind)
      .where('ended_at', 'is', null)
      .executeTakeFirst();
    if (open !== undefined) return promotionOf(await askedByToo(db, open, wish.ref));
  }
  const row = await db
    .insertInto('promotion')
    .values({
      id: newId('pro'),
      project_id: wish.projectId,
      environment_id: wish.environmentId,
      release_id: wish.releaseId,
      kind: wish.kind,
      automatic: wish.automatic,
      requested_by: wish.requestedBy,
      cause: wish.cause,
      refs: wish.ref === undefined ? [] : [wish.ref],
      state: 'requested',
      log_id: newId('log'),
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await recordEvent(db, row.id, null, 'requested', 0n, { note: wish.cause });
  return promotionOf(row);
}

async function askedByToo<T extends { id: string; refs: string[] }>(
  db: Sql,
  open: T,
  ref: string | undefined,
): Promise<T> {
  if (ref === undefined || open.refs.includes(ref)) return open;
  const refs = [...open.refs, ref];
  await db.updateTable('promotion').set({ refs }).where('id', '=', open.id).execute();
  return { ...open, refs };
}

export interface Move {
  readonly to: PromotionState;
  readonly detail?: PromotionDetail;
  readonly wakeAtMs?: number;
  /** The lane's token: a mover with a smaller one than the promotion remembers is a late writer, and is refused. */
  readonly token?: bigint;
  readonly previousReleaseId?: string;
  /** Of a failure of the artifacts: the hash of what they ran under. */
  readonly failedUnder?: string;
  /** The run that does the work from here on: `runs` stays at it, so that whoever stops the work stops the right run. */
  readonly run?: number;
}

/**
 * Moves a promotion, if the state machine and its fencing token allow it.
 * @returns the promotion after the move, or null when it was not allowed (it ended meanwhile, or the mover is late)
 */
export async function movePromotion(db: Sql, id: string, move: Move): Promise<Promotion | null> {
  const before = await lockPromotion(db, id);
  if (before === null) return null;
  const token = move.token ?? before.token;
  if (!mayMove(before.state, move.to) || token < before.token) return null;
  if (before.state === move.to && isEnded(move.to)) return before;
  const now = new Date();
  const after = await db
    .updateTable('promotion')
    .set({
      state: move.to,
      detail: json(move.detail ?? {}),
      token,
      wake_at: move.wakeAtMs === undefined ? null : new Date(move.wakeAtMs),
      changed_at: now,
      ended_at: isEnded(move.to) ? now : null,
      ...(move.previousReleaseId === undefined ? {} : { previous_release_id: move.previousReleaseId }),
      ...(move.failedUnder === undefined ? {} : { failed_under: move.failedUnder }),
      ...(move.run === undefined ? {} : { runs: move.run }),
    })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
  if (isNews(before, { state: move.to, detail: move.detail ?? {} })) {
    await recordEvent(db, id, before.state, move.to, token, move.detail ?? {});
  }
  return promotionOf(after);
}

async function recordEvent(
  db: Sql,
  promotionId: string,
  from: string | null,
  to: string,
  token: bigint,
  detail: PromotionDetail,
): Promise<void> {
  await db
    .insertInto('promotion_event')
    .values({
      id: newId('pev'),
      promotion_id: promotionId,
      from_state: from,
      to_state: to,
      token,
      detail: json(detail),
    })
    .execute();
}

/**
 * Counts a run, so that its workflow has an id of its own. One that is lost without a word is asked for again in a while.
 * @returns the run's number, or null when there is nothing to look at: the promotion has ended, or is at work already.
 */
export async function nextRun(
  db: Sql,
  id: string,
): Promise<{ run: number; kind: Promotion['kind']; environmentId: string } | null> {
  const row = await db
    .updateTable('promotion')
    .set((eb) => ({
      runs: eb('runs', '+', 1),
      wake_at: sql<Date>`clock_timestamp() + ${LOST_AFTER_MS} * interval '1 ms'`,
      changed_at: sql<Date>`least(changed_at, clock_timestamp())`, // it may be of a clock that was ahead
    }))
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .where('state', 'in', ['requested', 'evaluating', 'waiting'])
    .returning(['runs', 'kind', 'environment_id'])
    .executeTakeFirst();
  return row === undefined ? null : { run: row.runs, kind: row.kind, environmentId: row.environment_id };
}

const LOST_AFTER_MS = 600_000;

export async function promotionById(db: Sql, id: string): Promise<Promotion | null> {
  const row = await db.selectFrom('promotion').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? null : promotionOf(row);
}

/** The same, and nobody else moves it until the transaction ends. */
export async function lockPromotion(tx: Sql, id: string): Promise<Promotion | null> {
  const row = await tx.selectFrom('promotion').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  return row === undefined ? null : promotionOf(row);
}

export async function eventsOf(
  db: Sql,
  promotionId: string,
): Promise<{ from: PromotionState | null; to: PromotionState; detail: PromotionDetail; at: Date }[]> {
  const rows = await db
    .selectFrom('promotion_event')
    .selectAll()
    .where('promotion_id', '=', promotionId)
    .orderBy('at')
    .orderBy('id')
    .execute();
  return rows.map((row) => ({
    from: row.from_state as PromotionState | null,
    to: row.to_state as PromotionState,
    detail: row.detail as PromotionDetail,
    at: row.at,
  }));
}

export function promotionOf(row: {
  id: string;
  number: string | number | bigint;
  project_id: string;
  environment_id: string;
  release_id: string;
  kind: string;
  automatic: boolean;
  requested_by: string;
  cause: string;
  refs: string[];
  state: string;
  detail: unknown;
  token: string | number | bigint;
  runs: number;
  wake_at: Date | null;
  previous_release_id: string | null;
  log_id: string;
  created_at: Date;
  changed_at: Date;
  ended_at: Date | null;
}): Promotion {
  return {
    id: row.id,
    number: Number(row.number),
    projectId: row.project_id,
    environmentId: row.environment_id,
    releaseId: row.release_id,
    kind: row.kind as Promotion['kind'],
    automatic: row.automatic,
    requestedBy: row.requested_by,
    cause: row.cause,
    refs: row.refs,
    state: row.state as PromotionState,
    detail: row.detail as PromotionDetail,
    token: BigInt(row.token),
    runs: row.runs,
    wakeAt: row.wake_at,
    previousReleaseId: row.previous_release_id,
    logId: row.log_id,
    createdAt: row.created_at,
    changedAt: row.changed_at,
    endedAt: row.ended_at,
  };
}
