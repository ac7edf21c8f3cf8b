import { sql } from 'kysely';

import { sha256Hex } from '../lib/digest.ts';
import type { Problem } from '../lib/error.ts';
import { json, type Sql, type Tx } from '../store/database.ts';
import type { Message } from './message.ts';
import type { Draft } from './plan-message.ts';

/** Where a message goes: a channel, and its receivers. */
export interface Destination {
  readonly channel: string;
  readonly receivers: readonly string[];
}

export interface MessageWish {
  readonly projectId: string;
  readonly eventId: number;
  readonly at: Date;
  readonly draft: Draft;
  /** By what it is told; what is fixed is told where what broke was, of these alone. */
  readonly destinations: readonly Destination[];
}

/** Events up to this one were looked at. */
export async function messageCursor(db: Sql): Promise<number> {
  return (await db.selectFrom('message_cursor').select('event_id').executeTakeFirstOrThrow()).event_id;
}

/** @returns false when somebody else moved it from there, or does so at this moment: nothing may be written then */
export async function moveMessageCursor(tx: Tx, from: number, to: number): Promise<boolean> {
  const row = await tx.selectFrom('message_cursor').select('event_id').forUpdate().skipLocked().executeTakeFirst();
  if (row?.event_id !== from) return false;
  await tx.updateTable('message_cursor').set({ event_id: to }).execute();
  return true;
}

/** A fact is told once: what stands under its key already stays as it is. Whoever calls this holds the cursor. */
export async function wantMessage(tx: Tx, { projectId, eventId, at, draft, destinations }: MessageWish): Promise<void> {
  const { key, turn, message } = draft;
  const mends = turn?.to === 'fixed' ? await brokenBefore(tx, turn.about) : null;
  if (turn?.to === 'fixed' && mends === null) return;
  const id = `msg_${sha256Hex(`${projectId} ${key}`).slice(0, 32)}`;
  const goes = mends === null ? destinations : await toldOf(tx, mends, destinations);
  const made = await tx
    .insertInto('message')
    .values({
      id,
      project_id: projectId,
      key,
      event_id: eventId,
      about: turn?.about ?? null,
      turn: turn?.to ?? null,
      mends,
      content: json(message),
      at,
    })
    .onConflict((conflict) => conflict.columns(['project_id', 'key']).doNothing())
    .executeTakeFirst();
  if (made.numInsertedOrUpdatedRows === 0n) return;
  for (const { channel, receivers } of goes) {
    if (receivers.length === 0) continue;
    await tx
      .insertInto('delivery')
      .values(receivers.map((receiver) => ({ message_id: id, project_id: projectId, channel, receiver, due_at: at })))
      .execute();
    await tx
      .insertInto('notify_channel')
      .values({ project_id: projectId, name: channel })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

/** @returns null where nothing is broken, as far as people were told */
async function brokenBefore(tx: Tx, about: string): Promise<string | null> {
  const last = await tx
    .selectFrom('message')
    .select(['id', 'turn'])
    .where('about', '=', about)
    .orderBy('event_id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return last?.turn === 'broke' ? last.id : null;
}

async function toldOf(tx: Tx, messageId: string, among: readonly Destination[]): Promise<Destination[]> {
  const rows = await tx
    .selectFrom('delivery')
    .select(['channel', 'receiver'])
    .where('message_id', '=', messageId)
    .where('given_up_at', 'is', null)
    .execute();
  return among.map(({ channel }) => ({
    channel,
    receivers: rows.filter((row) => row.channel === channel).map(({ receiver }) => receiver),
  }));
}

export interface ClaimedChannel {
  readonly projectId: string;
  readonly name: string;
}

/** Channels with something due, each for one caller, who keeps it until `untilMs` and no longer. */
export async function claimChannels(
  db: Sql,
  { nowMs, untilMs, most }: { nowMs: number; untilMs: number; most: number },
): Promise<ClaimedChannel[]> {
  const { rows } = await sql<{ project_id: string; name: string }>`
    update notify_channel set next_at = ${new Date(untilMs)}
    where (project_id, name) in (
      select project_id, name from notify_channel as due
      where (next_at is null or next_at <= ${new Date(nowMs)})
        and exists (select from delivery where delivery.project_id = due.project_id and channel = due.name
          and due_at <= ${new Date(nowMs)})
      order by next_at nulls first limit ${most} for update skip locked)
    returning project_id, name`.execute(db);
  return rows.map((row) => ({ projectId: row.project_id, name: row.name }));
}

/** Ends a claim, or makes it longer. @returns false when it was lost, and nothing is changed */
export async function pauseChannel(
  db: Sql,
  { projectId, name }: ClaimedChannel,
  claimedMs: number,
  { untilMs, problem, told }: { untilMs: number | null; problem?: Problem | null; told?: Date },
): Promise<boolean> {
  const done = await db
    .updateTable('notify_channel')
    .set({
      next_at: untilMs === null ? null : new Date(untilMs),
      ...(problem === undefined ? {} : { problem: problem === null ? null : json(problem) }),
      ...(told === undefined ? {} : { told_at: told }),
    })
    .where('project_id', '=', projectId)
    .where('name', '=', name)
    .where('next_at', '=', new Date(claimedMs))
    .executeTakeFirst();
  return done.numUpdatedRows === 1n;
}

export interface DueDelivery {
  readonly messageId: string;
  readonly channel: string;
  readonly receiver: string;
  readonly message: Message;
  readonly mends: string | null;
  readonly at: Date;
  readonly tries: number;
}

/** In the order of what happened. */
export async function dueDeliveries(
  db: Sql,
  { projectId, name }: ClaimedChannel,
  nowMs: number,
  most: number,
): Promise<DueDelivery[]> {
  const { rows } = await sql<{
    message_id: string;
    receiver: string;
    content: unknown;
    mends: string | null;
    at: Date;
    tries: number;
  }>`
    select delivery.message_id, receiver, content, mends, at, tries from delivery join message on message.id = message_id
    where delivery.project_id = ${projectId} and channel = ${name} and due_at <= ${new Date(nowMs)}
    order by event_id, receiver limit ${most}`.execute(db);
  return rows.map((row) => ({
    messageId: row.message_id,
    channel: name,
    receiver: row.receiver,
    message: row.content as Message, // written by `wantMessage` alone
    mends: row.mends,
    at: row.at,
    tries: row.tries,
  }));
}

type Row = Pick<DueDelivery, 'messageId' | 'channel' | 'receiver'>;

/** Before it is sent: what is killed now may have been told, and is told again under the same id. */
export async function recordTried(db: Sql, row: Row, now: Date): Promise<void> {
  await change(db, row, { tried_at: now });
}

export async function recordTold(db: Sql, row: Row, now: Date): Promise<void> {
  await change(db, row, { due_at: null, told_at: now, problem: null });
}

export async function recordUntilLater(db: Sql, row: DueDelivery, untilMs: number, problem: Problem): Promise<void> {
  await change(db, row, { due_at: new Date(untilMs), tries: row.tries + 1, problem: json(problem) });
}

/** Nobody tries it again. Without a problem there was nobody to tell it to. */
export async function recordForsaken(db: Sql, row: Row, now: Date, problem: Problem | null): Promise<void> {
  await change(db, row, {
    due_at: null,
    given_up_at: now,
    problem: problem === null ? null : json(problem),
  });
}

async function change(db: Sql, { messageId, channel, receiver }: Row, set: Record<string, unknown>): Promise<void> {
  await db
    .updateTable('delivery')
    .set(set)
    .where('message_id', '=', messageId)
    .where('channel', '=', channel)
    .where('receiver', '=', receiver)
    .execute();
}

/**
 * Whether what a message mends was told to its receiver: a fix waits for that, and where it was given up nobody waits for the
 * fix.
 */
export async function mendable(db: Sql, mends: string, { channel, receiver }: Row): Promise<'told' | 'due' | 'never'> {
  const row = await db
    .selectFrom('delivery')
    .select(['told_at', 'due_at'])
    .where('message_id', '=', mends)
    .where('channel', '=', channel)
    .where('receiver', '=', receiver)
    .executeTakeFirst();
  if (row === undefined) return 'never';
  return row.told_at !== null ? 'told' : row.due_at !== null ? 'due' : 'never';
}

/** What was told, or given up, before then; but for what broke last, which may still be fixed. */
export async function forgetMessages(db: Sql, beforeMs: number): Promise<void> {
  await sql`
    delete from message where at < ${new Date(beforeMs)}
      and not exists (select from delivery where message_id = message.id and due_at is not null)
      and not exists (select from message as mending where mending.mends = message.id)
      and (about is null or exists (select from message as later
        where later.about = message.about and later.event_id > message.event_id))`.execute(db);
}
