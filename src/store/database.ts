import { setTimeout as wait } from 'node:timers/promises';

import { Kysely, PostgresDialect } from 'kysely';
import type { Transaction } from 'kysely';
import pg from 'pg';

import type { Problem } from '../lib/error.ts';
import { StoreError } from './error.ts';
import { createListener } from './listen.ts';
import type { Listen } from './listen.ts';
import type { Tables } from './tables.ts';
import { withSetting } from './url.ts';

/** Reads and writes of the towpath schema, inside a transaction or not: what most functions of a store take. */
export type Sql = Kysely<Tables>;

/** One open transaction. */
export type Tx = Transaction<Tables>;

export interface Store {
  readonly db: Sql;
  readonly pool: pg.Pool;
  readonly url: string;
  /** Commits when `work` resolves, rolls back when it throws. Read committed, as Postgres does by default. */
  readonly transaction: <T>(work: (tx: Tx) => Promise<T>) => Promise<T>;
  /** One LISTEN connection serves all listeners of this store; see `listen.ts` for what they may rely on. */
  readonly listen: Listen;
  readonly close: () => Promise<void>;
}

const clients = new WeakMap<Tx, pg.PoolClient>();

/**
 * Opens the pool and proves that the server answers. Does not migrate.
 * @throws StoreError `store.unreachable`
 */
export async function openStore(url: string, { maxConnections = 10 } = {}): Promise<Store> {
  const pool = new pg.Pool(connectionOptions(url, { max: maxConnections }));
  // A connection that breaks while idle is replaced by the pool; without a listener it would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  try {
    await pool.query('select 1');
  } catch (cause) {
    await pool.end();
    throw unreachable(cause);
  }
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  const listener = createListener(() => new pg.Client(connectionOptions(url)));
  return {
    db,
    pool,
    url,
    transaction: (work) => inTransaction(pool, work),
    listen: listener.listen,
    close: async () => {
      await listener.close();
      await pool.end();
    },
  };
}

/**
 * Whether the server answers now: who asks waits two seconds at most, whatever the pool is willing to wait.
 * @throws StoreError `store.unreachable`
 */
export async function requireAnswer({ pool }: Pick<Store, 'pool'>, withinMs = 2_000): Promise<void> {
  const late = new AbortController();
  const tooLate = wait(withinMs, undefined, { signal: late.signal }).then(() => {
    throw new Error(`no answer within ${withinMs / 1000} s`);
  });
  try {
    await Promise.race([pool.query('select 1'), tooLate]);
  } catch (cause) {
    throw unreachable(cause);
  } finally {
    tooLate.catch(() => undefined);
    late.abort();
  }
}

/** What is said of errors that `isTransient` tells: whoever asked asks again. */
export const STORE_AWAY: Problem = {
  code: 'store.unreachable',
  what: 'The database does not answer at the moment.',
  fix: 'Ask again in a moment: Towpath goes on by itself when it is back. If it stays away, look at Postgres and its log.',
};

/**
 * The client under a transaction, for a library that writes into it with `pg` (the durable engine's enqueue).
 * @throws StoreError `store.foreign-transaction` for one that `Store.transaction` did not open
 */
export function clientOf(tx: Tx): pg.PoolClient {
  const client = clients.get(tx);
  if (client !== undefined) return client;
  throw new StoreError({
    code: 'store.foreign-transaction',
    what: 'This transaction was not opened by `Store.transaction`.',
    fix: 'Open it by `store.transaction(...)`, or by `transaction(...)` inside a workflow.',
  });
}

/**
 * A value for a `jsonb` column: the driver would write a bare array as a Postgres array. Postgres takes neither NUL nor half
 * of a surrogate pair; words from outside (a test report, a log) may have both, and U+FFFD then stands for them.
 */
export function json(value: unknown): string {
  return JSON.stringify(value).replace(/\\(?:u0000|ud[89a-f][0-9a-f]{2}|.)/g, (escape) =>
    escape.length > 2 ? '\uFFFD' : escape,
  );
}

/** How every connection of ours is made: the `towpath` schema first, `bigint` read as a safe number. */
export function connectionOptions(url: string, more: pg.PoolConfig = {}): pg.PoolConfig {
  return {
    connectionString: withSetting(url, 'search_path=towpath'),
    application_name: 'towpath',
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    types: {
      getTypeParser: (oid, format) =>
        oid === pg.types.builtins.INT8 ? safeNumber : pg.types.getTypeParser(oid, format),
    },
    ...more,
  };
}

function safeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`The number ${text} from Postgres is too large to be exact.`);
  return value;
}

/** A Kysely of its own around one client, so that `clientOf` can tell which client a transaction holds. */
async function inTransaction<T>(pool: pg.Pool, work: (tx: Tx) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  const onlyThis = { connect: () => Promise.resolve(borrowed(client)), end: () => Promise.resolve() };
  try {
    const one = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: onlyThis }) });
    const result = await one.transaction().execute((tx) => {
      clients.set(tx, client);
      return work(tx);
    });
    client.release();
    return result;
  } catch (error) {
    // After a failed rollback the state of the connection is unknown; after any other error it is clean but replaceable.
    client.release(isConnectionLoss(error));
    throw error;
  }
}

function borrowed(client: pg.PoolClient) {
  return {
    query: client.query.bind(client),
    release: () => undefined,
  };
}

/** True for errors that say nothing about the question asked: a lost connection, a restart, a full disk, a deadlock, a serialization failure. */
export function isTransient(error: unknown): boolean {
  return isConnectionLoss(error) || /^(40001|40P01|55P03|53100)$/.test(sqlState(error));
}

/** True when a unique constraint refused a row; `constraint` narrows it to one by name. */
export function isDuplicate(error: unknown, constraint?: string): boolean {
  if (sqlState(error) !== '23505') return false;
  return constraint === undefined || (error instanceof pg.DatabaseError && error.constraint === constraint);
}

function isConnectionLoss(error: unknown): boolean {
  if (/^(08|57P0)/.test(sqlState(error))) return true;
  if (/^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT)$/.test(sqlState(error)) || isMissingSocket(error)) return true;
  return (
    error instanceof Error &&
    /Connection terminated|timeout exceeded when trying to connect|Client has encountered/.test(error.message)
  );
}

/** The server's socket is not there while it restarts; a file that is missing is no such case. */
function isMissingSocket(error: unknown): boolean {
  return sqlState(error) === 'ENOENT' && error instanceof Error && 'syscall' in error && error.syscall === 'connect';
}

/** The SQLSTATE of a Postgres error, or the code of a socket's; empty for anything else. */
function sqlState(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';
}

function unreachable(cause: unknown): StoreError {
  const reason = cause instanceof Error && cause.message !== '' ? cause.message : sqlState(cause);
  return new StoreError(
    {
      code: 'store.unreachable',
      what: `Postgres does not answer: ${reason}.`,
      fix: 'Check that the server runs and that the database URL (host, port, user, database) is right.',
    },
    { cause },
  );
}
