import { randomBytes } from 'node:crypto';

import pg from 'pg';
import { inject, onTestFinished } from 'vitest';

import { externalPostgresUrl } from '../../tools/test-machine/machine.ts';
import { sha256Hex } from '../lib/digest.ts';
import { openStore } from './database.ts';
import type { Store } from './database.ts';
import { startEmbeddedPostgres } from './embedded/postgres.ts';
import { migrate, readMigrations } from './migrate.ts';

/** What a fresh database begins with. A template is made once per server and copied, which takes tens of milliseconds. */
export interface Template {
  readonly name: string;
  readonly prepare: (url: string) => Promise<unknown>;
}

export interface TestStoreOptions {
  /** A server's administrator URL; the run's embedded Postgres when not given. */
  readonly server?: string;
  readonly template?: Template;
}

/** An empty database without any schema. */
export const EMPTY: Template = { name: 'empty', prepare: () => Promise.resolve() };

const MIGRATED: Template = { name: 'migrated', prepare: (url) => migrate(url) };

/**
 * A fresh, migrated database and a store on it. Inside a test both are gone when the test ends; elsewhere (`beforeAll`)
 * the caller ends them by `close()`.
 */
export async function testStore(options: TestStoreOptions = {}): Promise<Store> {
  const { url, drop } = await testDatabase(options);
  const store = await openStore(url);
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= store.close().then(drop));
  whenTestEnds(close);
  return { ...store, close };
}

/** As `testStore`, without a store: for tests whose processes open their own. */
export async function testDatabase(
  options: TestStoreOptions = {},
): Promise<{ readonly url: string; readonly drop: () => Promise<void> }> {
  const server = options.server ?? (await testServer());
  const template = await readyTemplate(server, options.template ?? MIGRATED);
  const name = `test_${randomBytes(8).toString('hex')}`;
  await administer(server, (client) => createFrom(client, name, template));
  return {
    url: databaseUrl(server, name),
    drop: () =>
      administer(server, (client) => client.query(`drop database if exists ${name} with (force)`)).then(
        () => undefined,
      ),
  };
}

let embedded: Promise<string> | undefined;

/**
 * The administrator URL that tests use: of the run's embedded Postgres; with `TOWPATH_TEST_STORE=external` of the external
 * one that `tools/test-machine` starts, or that `TOWPATH_TEST_POSTGRES_URL` names. The same tests run on both.
 */
export function testServer(): Promise<string> {
  return process.env['TOWPATH_TEST_STORE'] === 'external' ? externalPostgresUrl() : embeddedServer();
}

/** The run's embedded Postgres, started by the first who asks. */
export function embeddedServer(): Promise<string> {
  embedded ??= startEmbeddedPostgres({ directory: inject('postgresDirectory'), durable: false }).then(({ url }) =>
    databaseUrl(url, 'postgres'),
  );
  return embedded;
}

/** Many files ask at once: the first makes the template, under a lock; its name holds what it was made from. */
async function readyTemplate(server: string, { name, prepare }: Template): Promise<string> {
  const checksums = (await readMigrations()).map(({ checksum }) => checksum).join();
  const template = `template_${name}_${sha256Hex(`${checksums} ${prepare.toString()}`).slice(0, 12)}`;
  await administer(server, async (client) => {
    await client.query('select pg_advisory_lock(7080718)');
    const { rowCount } = await client.query('select from pg_database where datname = $1', [template]);
    if (rowCount === 1) return;
    const draft = `${template}_draft`;
    await client.query(`drop database if exists ${draft} with (force)`);
    await client.query(`create database ${draft}`);
    await prepare(databaseUrl(server, draft));
    await client.query(`alter database ${draft} rename to ${template}`);
  });
  return template;
}

/** A template may not be in use while it is copied, not even by another copy. */
async function createFrom(client: pg.Client, name: string, template: string): Promise<void> {
  await client.query('select pg_advisory_lock(7080719)');
  await client.query(`create database ${name} template ${template}`);
}

async function administer<T>(server: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function databaseUrl(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

function whenTestEnds(close: () => Promise<void>): void {
  try {
    onTestFinished(close);
  } catch {
    // not inside a test: the caller closes
  }
}
