import { setTimeout as sleep } from 'node:timers/promises';

import { sql } from 'kysely';

import type { LogLine } from '../lib/log.ts';
import { isTransient } from './database.ts';
import type { Sql, Store } from './database.ts';
import { follow } from './follow.ts';
import { createBacklog, createTail, sizeOf } from './log-lines.ts';

export interface LogWriter {
  /** Never waits and never throws: lines are kept until they are written. */
  readonly line: LogLine;
  /** Writes what is left; another writer may then go on with the log. @throws as `end` */
  flush(): Promise<void>;
  /**
   * Writes what is left and marks the end, so that who follows stops. Waits while the database is away or full.
   * @throws what Postgres answers when it stays so for an hour
   */
  end(): Promise<void>;
}

/** A part of a log: lines, and where the next part begins. */
export interface LogPart {
  readonly lines: readonly string[];
  readonly seq: number;
  /** True when nothing more was announced: the writer has ended it and this is the last part. */
  readonly ended: boolean;
}

const CHUNK_LINES = 100;
const FLUSH_MS = 100;
/** What waits for a Postgres that is slow, away or full; more lines are counted and left out. */
const BACKLOG = { lines: 100_000, bytes: 20_000_000 };
/** What the store keeps of one log, but for its end: a program that prints without end does not fill the disk. */
const LOG_BYTES = 16 * 1024 * 1024;
/** What each writer keeps of the end of a log that is full. */
const TAIL = { lines: 500, bytes: 64 * 1024 };
const LONGEST_LINE = 16_384;
const PAGE_CHUNKS = 50;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;
/** As long as the work whose log it is waits for the database. */
const PATIENCE_MS = 3_600_000;

export interface LogOptions {
  readonly limitBytes?: number;
  readonly wait?: (ms: number) => Promise<unknown>;
}

/**
 * Writes a log in chunks of up to 100 lines, each within 100 ms. A log that was ended may be opened again and goes on. Of
 * one that is full, only the last lines of each writer are kept, and how many were left out is said.
 */
export function openLog(
  store: Store,
  logId: string,
  { limitBytes = LOG_BYTES, wait = pause }: LogOptions = {},
): LogWriter {
  const backlog = createBacklog(BACKLOG);
  /** Bytes that the log still takes; null until the store was asked. */
  let room: number | null = null;
  const tail = createTail(TAIL);
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  async function drain(): Promise<void> {
    while (backlog.length > 0) {
      room ??= limitBytes - (await patiently(wait, () => bytesOf(store.db, logId)));
      const chunk = backlog.first(room <= 0 ? backlog.length : CHUNK_LINES);
      if (room <= 0) for (const line of chunk) tail.push(line);
      else {
        const bytes = sizeOf(chunk);
        await append(bytes >= room ? [...chunk, full(limitBytes)] : chunk);
        room -= bytes;
      }
      backlog.drop(chunk.length);
    }
  }

  const append = (lines: readonly string[]): Promise<void> =>
    patiently(wait, () => appendToLog(store.db, logId, lines));

  function write(work: () => Promise<void>): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.catch(() => undefined).then(work);
    return writing;
  }

  function flush(): Promise<void> {
    return write(async () => {
      await drain();
      const lines = tail.take();
      for (let at = 0; at < lines.length; at += CHUNK_LINES) await append(lines.slice(at, at + CHUNK_LINES));
    });
  }

  return {
    line: (text) => {
      const line = storable(text);
      if (room !== null && room <= 0) return tail.push(line);
      backlog.push(line);
      timer ??= setTimeout(() => void write(drain).catch(() => undefined), FLUSH_MS); // what stays unwritten is tried again by `end`
    },
    flush,
    end: async () => {
      await flush();
      await append([]);
    },
  };
}

/** Writes lines that are there already, and the end. */
export async function writeLog(store: Store, logId: string, lines: readonly string[]): Promise<void> {
  const log = openLog(store, logId);
  for (const line of lines) log.line(line);
  await log.end();
}

/** What comes after `afterSeq` (0: from the beginning), up to 5,000 lines. */
export async function readLog(db: Sql, logId: string, afterSeq: number): Promise<LogPart> {
  const chunks = await db
    .selectFrom('log_chunk')
    .select(['seq', 'lines'])
    .where('log_id', '=', logId)
    .where('seq', '>', afterSeq)
    .orderBy('seq')
    .limit(PAGE_CHUNKS)
    .execute();
  const last = chunks.at(-1);
  return {
    lines: chunks.flatMap(({ lines }) => lines),
    seq: last?.seq ?? afterSeq,
    ended:
      chunks.length < PAGE_CHUNKS &&
      (last === undefined ? await hasEnded(db, logId, afterSeq) : last.lines.length === 0),
  };
}

/** The parts of a log as they come; ends with the log, or when the signal is aborted. */
export async function* followLog(
  store: Store,
  logId: string,
  afterSeq: number,
  signal: AbortSignal,
): AsyncGenerator<LogPart> {
  let last = afterSeq;
  let over = false;
  const parts = follow({
    store,
    channel: 'towpath_log',
    signal,
    matches: (payload) => payload === logId,
    next: async () => {
      const part = await readLog(store.db, logId, last);
      const isNews = part.seq !== last || (part.ended && !over);
      last = part.seq;
      over = part.ended;
      return isNews ? [part] : [];
    },
  });
  for await (const part of parts) {
    yield part;
    if (part.ended) return;
  }
}

/** Whether the end of a log is what was read last: lines may have come with it since. */
async function hasEnded(db: Sql, logId: string, afterSeq: number): Promise<boolean> {
  const last = await db
    .selectFrom('log_chunk')
    .select(['seq', 'lines'])
    .where('log_id', '=', logId)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  return last !== undefined && last.seq <= afterSeq && last.lines.length === 0;
}

/**
 * Writes lines in a transaction of the caller's; none at all is the end. Writers of one log take turns, so that a number
 * that is visible has none below it to come.
 */
export async function appendToLog(db: Sql, logId: string, lines: readonly string[]): Promise<void> {
  await sql`with turn as materialized (select pg_advisory_xact_lock(hashtextextended(${logId}, 7080721))),
    chunk as (insert into log_chunk (log_id, lines) select ${logId}, ${[...lines]}::text[] from turn returning seq)
    select pg_notify('towpath_log', ${logId}) from chunk`.execute(db);
}

/** A server that ends waits for no log. */
function pause(ms: number): Promise<void> {
  return sleep(ms, undefined, { ref: false });
}

/** Asks again for as long as the store is away or full. */
async function patiently<T>(wait: (ms: number) => Promise<unknown>, ask: () => Promise<T>): Promise<T> {
  const began = performance.now();
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      return await ask();
    } catch (error) {
      if (!isTransient(error) || performance.now() - began > PATIENCE_MS) throw error;
    }
    await wait(waitMs);
  }
}

function full(limitBytes: number): string {
  return `... the log has ${(limitBytes / 1024 / 1024).toFixed(0)} MB and is full: of what follows only the end is kept ...`;
}

async function bytesOf(db: Sql, logId: string): Promise<number> {
  const { rows } = await sql<{ bytes: number }>`
    select coalesce(sum(octet_length(array_to_string(lines, ' ')) + 1), 0)::bigint as bytes
    from log_chunk where log_id = ${logId}`.execute(db);
  return rows[0]?.bytes ?? 0;
}

/** Postgres stores no NUL, and a line without an end (a minified bundle, a binary) is cut. */
function storable(text: string): string {
  const line = text.replaceAll('\0', '\uFFFD');
  return line.length <= LONGEST_LINE ? line : `${line.slice(0, LONGEST_LINE)} ... (${line.length} characters)`;
}
