import { sql } from 'kysely';

import type { Problem } from '../lib/error.ts';
import { json, type Sql } from '../store/database.ts';
import type { Shown } from './channel.ts';
import type { Notice } from './notice.ts';

/** A repository whose host is told something now, by whoever claimed it. */
export interface ClaimedRepository {
  readonly id: string;
  readonly projectId: string;
  readonly url: string;
  readonly host: string | null;
  /** The reference to the token. */
  readonly notices: string;
}

export interface DueNotice {
  readonly repositoryId: string;
  readonly key: string;
  /** The event by which it was wanted: a newer one takes the place of the notice. */
  readonly eventId: number;
  readonly notice: Notice;
  readonly wantedAt: Date;
  readonly shown: Shown;
  readonly tries: number;
}

export interface NoticeWish {
  readonly repositoryId: string;
  readonly key: string;
  readonly environmentId: string | null;
  readonly eventId: number;
  readonly notice: Notice;
}

/** What is wanted already, or was told, stays as it is. What was not told yet is not told any more when something newer is wanted. */
export async function wantNotice(db: Sql, wish: NoticeWish, nowMs: number): Promise<void> {
  const now = new Date(nowMs);
  const wanted = json(wish.notice);
  await db
    .insertInto('notice')
    .values({
      repository_id: wish.repositoryId,
      key: wish.key,
      environment_id: wish.environmentId,
      event_id: wish.eventId,
      wanted,
      wanted_at: now,
      due_at: now,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['repository_id', 'key'])
        .doUpdateSet({ event_id: wish.eventId, wanted, wanted_at: now, due_at: now, tries: 0 })
        .where(sql<boolean>`notice.wanted is distinct from excluded.wanted`),
    )
    .execute();
}

/** Promotions of which a host shows that they are what an environment runs. */
export async function standingPromotions(db: Sql, environmentId: string): Promise<string[]> {
  const { rows } = await sql<{ promotion: string }>`
    select wanted ->> 'promotion' as promotion from notice
    where environment_id = ${environmentId} and wanted ->> 'state' = 'success'`.execute(db);
  return rows.map(({ promotion }) => promotion);
}

/** Repositories with something due, each for one caller, who keeps it until `untilMs` and no longer. */
export async function claimRepositories(
  db: Sql,
  { nowMs, untilMs, most }: { nowMs: number; untilMs: number; most: number },
): Promise<ClaimedRepository[]> {
  const now = new Date(nowMs);
  const rows = await db
    .updateTable('repository')
    .set({ notices_at: new Date(untilMs) })
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('repository as due')
        .select('due.id')
        .where('due.notices', 'is not', null)
        .where((or) => or.or([or('due.notices_at', 'is', null), or('due.notices_at', '<=', now)]))
        .where((and) =>
          and.exists(
            and
              .selectFrom('notice')
              .select('notice.key')
              .whereRef('notice.repository_id', '=', 'due.id')
              .where('notice.due_at', '<=', now),
          ),
        )
        .orderBy('due.notices_at', (order) => order.asc().nullsFirst())
        .limit(most)
        .forUpdate()
        .skipLocked(),
    )
    .returning(['id', 'project_id', 'url', 'host', 'notices'])
    .execute();
  return rows.flatMap(({ id, project_id: projectId, url, host, notices }) =>
    notices === null ? [] : [{ id, projectId, url, host, notices }],
  );
}

/** In the order of the events that they tell of. */
export async function dueNotices(db: Sql, repositoryId: string, nowMs: number, most: number): Promise<DueNotice[]> {
  const rows = await db
    .selectFrom('notice')
    .selectAll()
    .where('repository_id', '=', repositoryId)
    .where('due_at', '<=', new Date(nowMs))
    .orderBy('event_id')
    .limit(most)
    .execute();
  return rows.map((row) => ({
    repositoryId,
    key: row.key,
    eventId: row.event_id,
    notice: row.wanted as Notice,
    wantedAt: row.wanted_at,
    shown: row.shown as Shown,
    tries: row.tries,
  }));
}

type Row = Pick<DueNotice, 'repositoryId' | 'key' | 'eventId'>;

/** It stays known whatever is wanted meanwhile: nothing is made twice. */
export async function recordShown(db: Sql, { repositoryId, key }: Row, shown: Shown): Promise<void> {
  await db
    .updateTable('notice')
    .set({ shown: json(shown) })
    .where('repository_id', '=', repositoryId)
    .where('key', '=', key)
    .execute();
}

/** Nothing is left to tell of it: the host shows it, or never will. */
export async function recordDone(db: Sql, row: Row): Promise<void> {
  await sameNotice(db, row, { due_at: null, tries: 0 });
}

/** @returns how many that were wanted before then are not told any more */
export async function recordGivenUp(db: Sql, repositoryId: string, beforeMs: number): Promise<number> {
  const done = await db
    .updateTable('notice')
    .set({ due_at: null, tries: 0 })
    .where('repository_id', '=', repositoryId)
    .where('due_at', 'is not', null)
    .where('wanted_at', '<=', new Date(beforeMs))
    .executeTakeFirst();
  return Number(done.numUpdatedRows);
}

export async function recordLater(db: Sql, row: Row & Pick<DueNotice, 'tries'>, untilMs: number): Promise<void> {
  await sameNotice(db, row, { due_at: new Date(untilMs), tries: row.tries + 1 });
}

async function sameNotice(
  db: Sql,
  { repositoryId, key, eventId }: Row,
  change: { due_at: Date | null; tries: number },
): Promise<void> {
  await db
    .updateTable('notice')
    .set(change)
    .where('repository_id', '=', repositoryId)
    .where('key', '=', key)
    .where('event_id', '=', eventId)
    .execute();
}

/** Until when the host of a repository is left alone, and what is said of it. */
export interface Pause {
  /** Null: it may be told at once. */
  readonly untilMs: number | null;
  /** What stands in the way; what is not given stays. */
  readonly problem?: Problem | null;
}

/**
 * Ends a claim, or makes it longer.
 * @param claimedMs until when it was claimed; whoever claims it after that, or names another token, ends it for others
 * @returns false when it was ended so, and nothing is changed
 */
export async function pauseNotices(
  db: Sql,
  repositoryId: string,
  claimedMs: number,
  { untilMs, problem }: Pause,
): Promise<boolean> {
  const done = await db
    .updateTable('repository')
    .set({
      notices_at: untilMs === null ? null : new Date(untilMs),
      ...(problem === undefined ? {} : { notices_error: problem === null ? null : json(problem) }),
    })
    .where('id', '=', repositoryId)
    .where('notices_at', '=', new Date(claimedMs))
    .executeTakeFirst();
  return done.numUpdatedRows === 1n;
}

/** With another token (null: none) everything that waits is tried again at once; without one nothing waits. */
export async function recordNoticesToken(
  db: Sql,
  repositoryId: string,
  notices: string | null,
  nowMs: number,
): Promise<void> {
  await db
    .updateTable('repository')
    .set({ notices, notices_at: null, notices_error: null })
    .where('id', '=', repositoryId)
    .execute();
  await db
    .updateTable('notice')
    .set({ due_at: notices === null ? null : new Date(nowMs), tries: 0 })
    .where('repository_id', '=', repositoryId)
    .where('due_at', 'is not', null)
    .execute();
}

/** What stands in the way of telling a project's host something, if it does. */
export async function untoldOf(db: Sql, projectId: string): Promise<Problem | null> {
  const row = await db
    .selectFrom('repository')
    .select('notices_error')
    .where('project_id', '=', projectId)
    .where('notices_error', 'is not', null)
    .executeTakeFirst();
  return (row?.notices_error as Problem | undefined) ?? null;
}

/** What was told, or given up, before then; but for what an environment runs, of which the end is to be told. */
export async function forgetNotices(db: Sql, beforeMs: number): Promise<void> {
  await sql`
    delete from notice where wanted_at < ${new Date(beforeMs)} and due_at is null
      and not exists (select from environment where environment.id = notice.environment_id
        and environment.current_promotion_id = notice.wanted ->> 'promotion')`.execute(db);
}

/** Events up to this one were looked at. @returns null while another server looks */
export async function lockCursor(tx: Sql): Promise<number | null> {
  const row = await tx.selectFrom('notice_cursor').select('event_id').forUpdate().skipLocked().executeTakeFirst();
  return row?.event_id ?? null;
}

export async function moveCursor(tx: Sql, eventId: number): Promise<void> {
  await tx.updateTable('notice_cursor').set({ event_id: eventId }).execute();
}
