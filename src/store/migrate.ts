import { readdir, readFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import pg from 'pg';

import { sha256Hex } from '../lib/digest.ts';
import { connectionOptions } from './database.ts';
import { StoreError } from './error.ts';

export interface Migration {
  /** `0001-the-path.sql` */
  readonly name: string;
  readonly sql: string;
  /** SHA-256 of the text, recorded when applied: a file that changed afterwards is refused. */
  readonly checksum: string;
}

export interface MigrateOptions {
  readonly migrations?: readonly Migration[];
  /** Other schemas that move under the same lock, after ours (the durable engine's). */
  readonly also?: (url: string) => Promise<void>;
  /** How long to wait for another process that migrates. */
  readonly timeoutMs?: number;
}

/** Any number that only Towpath uses: the advisory lock of migrations is per database. */
const LOCK = 7_080_717;
const LOCK_POLL_MS = 150;

/**
 * Brings the database to the newest schema; many processes may call it at once. The lock is tried, not waited for: a
 * session that waits inside Postgres holds a snapshot, and `CREATE INDEX CONCURRENTLY` of the lock's holder would wait for it.
 * @returns the names of the migrations that were applied now
 * @throws StoreError `store.migration-changed`, `store.migration-unknown`, `store.migration-failed`, `store.migration-locked`
 */
export async function migrate(url: string, options: MigrateOptions = {}): Promise<string[]> {
  const migrations = options.migrations ?? (await readMigrations());
  const client = new pg.Client(connectionOptions(url));
  client.on('error', () => undefined);
  await client.connect();
  try {
    await takeLock(client, options.timeoutMs ?? 120_000);
    const applied = await apply(client, migrations);
    await options.also?.(url);
    return applied;
  } finally {
    await client.end(); // ends the session, and with it the lock
  }
}

/** Reads `migrations/*.sql` of this package, in order. */
export async function readMigrations(directory = migrationsDirectory()): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => /^\d{4}-[a-z0-9-]+\.sql$/.test(name)).sort();
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(join(directory, name), 'utf8');
      return { name, sql, checksum: sha256Hex(sql) };
    }),
  );
}

/** What is to be applied, given what was. Pure. @throws StoreError as `migrate` does */
export function planMigrations(
  migrations: readonly Migration[],
  applied: ReadonlyMap<string, string>,
): readonly Migration[] {
  const known = new Set(migrations.map(({ name }) => name));
  const foreign = [...applied.keys()].filter((name) => !known.has(name));
  const last = migrations.at(-1)?.name ?? '';
  // A newer Towpath may have added later ones: its schema only adds, so the present version runs on it.
  if (foreign.some((name) => name < last)) {
    throw new StoreError({
      code: 'store.migration-unknown',
      what: `This database was migrated by "${foreign.join('", "')}", which this version of Towpath does not have.`,
      fix: 'Use the version of Towpath that made this database, or another database.',
    });
  }
  for (const { name, checksum } of migrations) {
    const recorded = applied.get(name);
    if (recorded !== undefined && recorded !== checksum) {
      throw new StoreError({
        code: 'store.migration-changed',
        what: `The migration "${name}" was applied with another text than it has now.`,
        fix: 'Restore the file as it was released; a change of the schema is a new migration.',
      });
    }
  }
  return migrations.filter(({ name }) => !applied.has(name));
}

async function takeLock(client: pg.Client, timeoutMs: number): Promise<void> {
  const attempts = Math.ceil(timeoutMs / LOCK_POLL_MS);
  for (let attempt = 0; attempt < attempts; attempt++) {
    const { rows } = await client.query<{ taken: boolean }>('select pg_try_advisory_lock($1) as taken', [LOCK]);
    if (rows[0]?.taken === true) return;
    await pause(LOCK_POLL_MS);
  }
  throw new StoreError({
    code: 'store.migration-locked',
    what: `Another process has been migrating this database for ${Math.round(timeoutMs / 1000)} s.`,
    fix: 'Wait for it, or end it: its lock ends with it.',
  });
}

async function apply(client: pg.Client, migrations: readonly Migration[]): Promise<string[]> {
  await client.query('create schema if not exists towpath');
  await client.query(`create table if not exists towpath.migration (
    name text primary key, checksum text not null, applied_at timestamptz not null default clock_timestamp())`);
  const { rows } = await client.query<{ name: string; checksum: string }>(
    'select name, checksum from towpath.migration',
  );
  const plan = planMigrations(migrations, new Map(rows.map(({ name, checksum }) => [name, checksum])));
  for (const migration of plan) await applyOne(client, migration);
  return plan.map(({ name }) => name);
}

async function applyOne(client: pg.Client, { name, sql, checksum }: Migration): Promise<void> {
  try {
    await client.query('begin');
    await client.query(sql);
    await client.query('insert into towpath.migration (name, checksum) values ($1, $2)', [name, checksum]);
    await client.query('commit');
  } catch (cause) {
    await client.query('rollback').catch(() => undefined);
    throw new StoreError(
      {
        code: 'store.migration-failed',
        what: `The migration "${name}" failed: ${cause instanceof Error ? cause.message : String(cause)}.`,
        fix: 'Nothing of it was kept. Repair the cause and start again.',
      },
      { cause },
    );
  }
}

/** Beside the sources or beside `dist/`, whichever this code runs from. */
function migrationsDirectory(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const candidate = join(folder, 'migrations');
    if (existsSync(join(folder, 'package.json')) && existsSync(candidate)) return candidate;
    if (dirname(folder) === folder) throw new Error('The folder "migrations" is not beside this program.');
  }
}
