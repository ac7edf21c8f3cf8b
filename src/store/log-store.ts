import { setTimeout as wait } from 'node:timers/promises';

import { sql } from 'kysely';

import type { LogLine } from '../lib/log.ts';
import { isTransient } from './database.ts';
import type { Sql, Store } from './database.ts';
import { follow } from './follow.ts';

export interface LogWriter {
  /** Never waits and never throws: lines are kept until they are written. */
  readonly line: LogLine;
  /** Writes what is left; another writer may then go on with the log. @throws as `end` */
  flush(): Promise<void>;
  /** Writes what is left and marks the end, so that who follows stops. @throws what Postgres answers when it stays away */
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
/** What waits for a slow Postgres; more lines are counted and left out. */
const LONGEST_BACKLOG = 100_000;
const LARGEST_BACKLOG_BYTES = 20_000_000;
/** What the store keeps of one log, but for its end: a program that prints without end does not fill the disk. */
const LOG_BYTES = 16 * 1024 * 1024;
/** What each writer keeps of the end of a log that is full. */
const TAIL_LINES = 500;
const TAIL_BYTES = 64 * 1024;
const LONGEST_LINE = 16_384;
const PAGE_CHUNKS = 50;
const RETRIES = 8;

/**
 * Writes a log in chunks of up to 100 lines, each within 100 ms. A log that was ended may be opened again and goes on. Of
 * one that is full, only the last lines of each writer are kept, and how many were left out is said.
 */
export function openLog(store: Store, logId: string, limitBytes = LOG_BYTES): LogWriter {
  let backlog: string[] = [];
  let backlogBytes = 0;
  let leftOut = 0;
  /** Bytes that the log still takes; null until the store was asked. */
  let room: number | null = null;
  const tail = createTail();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  async function drain(): Promise<void> {
    while (backlog.length > 0 || leftOut > 0) {
      if (backlog.length === 0) {
        backlog.push(`... ${leftOut} lines were left out: the database was too slow for them ...`);
        leftOut = 0;
      }
      room ??= limitBytes - (await bytesOf(store.db, logId));
      if (room <= 0) {
        for (const line of backlog) tail.push(line);
        backlog = [];
        backlogBytes = 0;
        continue;
      }
      const chunk = backlog.slice(0, CHUNK_LINES);
      const bytes = sizeOf(chunk);
      const isLast = bytes >= room;
      await appendWithRetries(store, logId, isLast ? [...chunk, full(limitBytes)] : chunk);
      room -= bytes;
      backlog = backlog.slice(chunk.length);
      backlogBytes -= bytes;
    }
  }

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
      for (let at = 0; at < lines.length; at += CHUNK_LINES)
        await appendWithRetries(store, logId, lines.slice(at, at + CHUNK_LINES));
    });
  }

  return {
    line: (text) => {
      const line = storable(text);
      if (room !== null && room <= 0) return tail.push(line);
      const bytes = sizeOf([line]);
      if (backlog.length >= LONGEST_BACKLOG || backlogBytes + bytes > LARGEST_BACKLOG_BYTES) leftOut += 1;
      else {
        backlog.push(line);
        backlogBytes += bytes;
      }
      timer ??= setTimeout(() => void write(drain).catch(() => undefined), FLUSH_MS); // what stays unwritten is tried again by `end`
    },
    flush,
    end: async () => {
      await flush();
      await appendWithRetries(store, logId, []);
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

async function appendWithRetries(store: Store, logId: string, lines: readonly string[]): Promise<void> {
  for (let attempt = 1, waitMs = 100; ; attempt++, waitMs *= 2) {
    try {
      await appendToLog(store.db, logId, lines);
      return;
    } catch (error) {
      if (attempt === RETRIES || !isTransient(error)) throw error;
    }
    await wait(waitMs);
  }
}

/** The last lines of many, and how many came before them. */
function createTail(): { push(line: string): void; take(): string[] } {
  let lines: string[] = [];
  let bytes = 0;
  let dropped = 0;
  return {
    push(line) {
      lines.push(line);
      bytes += sizeOf([line]);
      for (
        let first = lines[0];
        first !== undefined && (lines.length > TAIL_LINES || bytes > TAIL_BYTES);
        first = lines[0]
      ) {
        lines.shift();
        bytes -= sizeOf([first]);
        dropped += 1;
      }
    },
    take() {
      const taken = dropped === 0 ? lines : [`... ${dropped} lines were left out: the log is full ...`, ...lines];
      [lines, bytes, dropped] = [[], 0, 0];
      return taken;
    },
  };
}

function full(limitBytes: number): string {
  return `... the log has ${(limitBytes / 1024 / 1024).toFixed(0)} MB and is full: of what follows only the end is kept ...`;
}

function sizeOf(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
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
