import { EventEmitter, once } from 'node:events';

import { sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';

import type { Store } from '../../store/database.ts';
import { takeLease } from './lease.ts';
import { quiet } from './log.ts';
import { testEngineStore } from './testing.ts';

test('who is alone on a database takes over at once, whatever lease the worker before had', async () => {
  const store = await withWorkOf('dead', { leaseMs: 3_600_000 });
  expect(await firstTakenOver(store, { alone: true })).toBe('dead');
});

test('who is not alone leaves the work of a lease that runs, and takes over one that ran out', async () => {
  const store = await withWorkOf('alive', { leaseMs: 3_600_000 });
  await addWorkOf(store, 'dead', { leaseMs: -1 });
  expect(await firstTakenOver(store, { alone: false })).toBe('dead');
  const { rows } = await sql<{ id: string }>`select id from executor_lease where id = 'alive'`.execute(store.db);
  expect(rows).toHaveLength(1);
});

async function firstTakenOver(store: Store, { alone }: { alone: boolean }): Promise<string> {
  const gone = new EventEmitter();
  const lease = await takeLease({
    store,
    alone,
    executorId: 'new',
    beatMs: 50,
    ttlMs: 5_000,
    recover: async (id) => void gone.emit('taken', id),
    onTaken: () => undefined,
    log: quiet,
  });
  onTestFinished(() => lease.release());
  const taken = once(gone, 'taken') as Promise<[string]>;
  lease.watch();
  return (await taken)[0];
}

async function withWorkOf(executor: string, lease: { leaseMs: number }): Promise<Store> {
  const store = await testEngineStore();
  await addWorkOf(store, executor, lease);
  return store;
}

async function addWorkOf({ db }: Store, executor: string, { leaseMs }: { leaseMs: number }): Promise<void> {
  await sql`insert into executor_lease (id, until)
    values (${executor}, clock_timestamp() + ${leaseMs} * interval '1 ms')`.execute(db);
  await sql`insert into dbos.workflow_status (workflow_uuid, status, name, executor_id)
    values (${`work of ${executor}`}, 'PENDING', 'build', ${executor})`.execute(db);
}
