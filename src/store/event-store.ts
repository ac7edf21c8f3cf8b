import { json } from './database.ts';
import type { Sql, Store } from './database.ts';
import { follow } from './follow.ts';

/** Something that the faces show changing. */
export interface NewEvent {
  readonly projectId?: string | null;
  /** `promotion.live`: the noun and what happened to it. */
  readonly kind: string;
  /** The id of what changed. */
  readonly subject: string;
  /** Without secrets: everyone who may watch reads it. */
  readonly data?: Readonly<Record<string, unknown>>;
}

export interface StoredEvent {
  readonly id: number;
  readonly at: Date;
  readonly projectId: string | null;
  readonly kind: string;
  readonly subject: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const PAGE = 200;

/** In the transaction of the change it tells of. Its id is given at the commit, in the order of commits. */
export async function recordEvent(db: Sql, { projectId = null, kind, subject, data = {} }: NewEvent): Promise<void> {
  await db
    .insertInto('event')
    .values({ project_id: projectId, kind, subject, data: json(data) })
    .execute();
}

/** The id after which everything is still to come; 0 when there was nothing. */
export async function lastEventId(db: Sql): Promise<number> {
  const row = await db
    .selectFrom('event')
    .select((eb) => eb.fn.max('id').as('id'))
    .executeTakeFirst();
  return row?.id ?? 0;
}

/** Up to 200 events after `afterId`, in order. */
export async function readEvents(db: Sql, afterId: number): Promise<StoredEvent[]> {
  const rows = await db.selectFrom('event').selectAll().where('id', '>', afterId).orderBy('id').limit(PAGE).execute();
  return rows.map((row) => ({
    id: row.id,
    at: row.at,
    projectId: row.project_id,
    kind: row.kind,
    subject: row.subject,
    data: row.data as Readonly<Record<string, unknown>>, // written by `recordEvent` alone
  }));
}

/** Every event after `afterId`, in order, each once, until the signal is aborted. */
export function followEvents(store: Store, afterId: number, signal: AbortSignal): AsyncGenerator<StoredEvent> {
  let last = afterId;
  return follow({
    store,
    channel: 'towpath_event',
    signal,
    next: async () => {
      const events = await readEvents(store.db, last);
      last = events.at(-1)?.id ?? last;
      return events;
    },
  });
}
