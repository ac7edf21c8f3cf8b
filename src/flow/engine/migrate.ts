import { initializeDataSourceSchemaPG } from '@dbos-inc/dbos-sdk/datasource';
// `DBOS.migrate` is these two, and writes to the standard output.
import { migrateSystemDatabase } from '@dbos-inc/dbos-sdk/internal/system_database';
import { GlobalLogger } from '@dbos-inc/dbos-sdk/internal/telemetry/logs';
import pg from 'pg';

import { migrate } from '../../store/migrate.ts';
import { engineLogger, quiet } from './log.ts';
import type { EngineLog } from './log.ts';

/**
 * Brings our schema and the engine's to their newest, under one lock: call it before `createEngine`, in each process.
 * The engine's own first start does not survive company (deadlocks, `tuple concurrently updated`).
 * @throws StoreError as `migrate` does
 */
export function migrateEverything(url: string, log: EngineLog = quiet): Promise<string[]> {
  return migrate(url, { also: () => migrateEngine(url, log) });
}

async function migrateEngine(url: string, log: EngineLog): Promise<void> {
  await migrateSystemDatabase(url, new GlobalLogger(undefined, { logger: engineLogger(log) }));
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('begin');
    await initializeDataSourceSchemaPG(async (text) => (await client.query<Record<string, unknown>>(text)).rows);
    await client.query('commit');
  } finally {
    await client.end();
  }
}
