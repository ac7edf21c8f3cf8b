import { sha256Hex } from '../lib/digest.ts';
import { expect, onTestFinished, test } from 'vitest';

import { openStore } from './database.ts';
import { migrate, planMigrations, readMigrations } from './migrate.ts';
import type { Migration } from './migrate.ts';
import { EMPTY, testDatabase } from './testing.ts';

test('three processes that migrate one fresh database at once apply each migration once', async () => {
  const url = await emptyDatabase();
  const applied = await Promise.all([migrate(url), migrate(url), migrate(url)]);
  expect(applied.flat()).toEqual((await readMigrations()).map(({ name }) => name));
  expect(await migrate(url)).toEqual([]);
});

test('a migration that was edited after it was applied is refused', async () => {
  const url = await emptyDatabase();
  await migrate(url, { migrations: [migration('0001-a', 'create table towpath.a (id text)')] });
  const edited = [migration('0001-a', 'create table towpath.a (id text, more text)')];
  await expect(migrate(url, { migrations: edited })).rejects.toMatchObject({ code: 'store.migration-changed' });
});

test('of a migration that fails nothing is kept, and what came before stays', async () => {
  const url = await emptyDatabase();
  const good = migration('0001-a', 'create table towpath.a (id text)');
  const bad = migration('0002-b', 'create table towpath.b (id text); select * from towpath.no_such_table');
  await expect(migrate(url, { migrations: [good, bad] })).rejects.toMatchObject({ code: 'store.migration-failed' });
  const store = await openStore(url);
  onTestFinished(() => store.close());
  const { rows } = await store.pool.query(`select name from migration`);
  expect(rows).toEqual([{ name: '0001-a.sql' }]);
  const tables = await store.pool.query(`select from pg_tables where schemaname = 'towpath' and tablename = 'b'`);
  expect(tables.rowCount).toBe(0);
});

test('an older version runs on the schema of a newer one, but not on that of a stranger', () => {
  const plan = [migration('0001-a', 'a'), migration('0003-c', 'c')];
  const sums = new Map(plan.map(({ name, checksum }) => [name, checksum]));
  expect(planMigrations(plan, new Map([...sums, ['0004-d.sql', 'x']]))).toEqual([]);
  expect(() => planMigrations(plan, new Map([...sums, ['0002-b.sql', 'x']]))).toThrow(/does not have/);
});

test('other schemas move under the same lock, one process at a time', async () => {
  const url = await emptyDatabase();
  let inside = 0;
  const also = async (): Promise<void> => {
    inside += 1;
    expect(inside).toBe(1);
    await (await openStore(url)).close();
    inside -= 1;
  };
  await Promise.all([migrate(url, { also }), migrate(url, { also })]);
});

function migration(name: string, sql: string): Migration {
  return { name: `${name}.sql`, sql, checksum: sha256Hex(sql) };
}

async function emptyDatabase(): Promise<string> {
  const { url, drop } = await testDatabase({ template: EMPTY });
  onTestFinished(drop);
  return url;
}
