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

test.each([
  { wrong: 'behind', dead: 3_600_000, alive: 500 },
  { wrong: 'ahead', dead: -3_600_000, alive: -3_600_000 },
])(
  'who is not alone leaves the work of one that lives, and takes over that of one that is silent, though the clock is $wrong',
  async ({ dead, alive }) => {
    const store = await withWorkOf('dead', { leaseMs: dead });
    await addWorkOf(store, 'alive');
    const living = await takeLease({ ...PARTS, store, executorId: 'alive', ttlMs: alive });
    onTestFinished(() => living.release());
    expect(await firstTakenOver(store, { alone: false })).toBe('dead');
    const { rows } = await sql<{ id: string }>`select id from executor_lease where id = 'alive'`.execute(store.db);
    expect(rows).toHaveLength(1);
  },
);

const PARTS = {
  beatMs: 50,
  ttlMs: 1_000,
  recover: () => Promise.resolve(),
  onTaken: () => undefined,
  log: quiet,
};

async function firstTakenOver(store: Store, { alone }: { alone: boolean }): Promise<string> {
  const gone = new EventEmitter();
  const recover = async (id: string) => void gone.emit('taken', id);
  const lease = await takeLease({ ...PARTS, store, alone, executorId: 'new', recover });
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

async function addWorkOf({ db }: Store, executor: string, lease?: { leaseMs: number }): Promise<void> {
  if (lease !== undefined)
    await sql`insert into executor_lease (id, until)
    values (${executor}, clock_timestamp() + ${lease.leaseMs} * interval '1 ms')`.execute(db);
  await sql`insert into dbos.workflow_status (workflow_uuid, status, name, executor_id)
    values (${`work of ${executor}`}, 'PENDING', 'build', ${executor})`.execute(db);
}
