import { setTimeout as wait } from 'node:timers/promises';

import { sql } from 'kysely';

import type { Store } from '../../store/database.ts';
import type { EngineLog } from './log.ts';

export interface LeaseOptions {
  readonly store: Store;
  readonly executorId: string;
  readonly beatMs: number;
  readonly ttlMs: number;
  /** No other process works on this database: every lease that is there is of one that is dead. */
  readonly alone?: boolean | undefined;
  /** Gives the unfinished workflows of an executor that is gone back to their queues. */
  readonly recover: (executorId: string) => Promise<void>;
  /** Another worker has taken our workflows over: this process must end at once. */
  readonly onTaken: () => void;
  readonly log: EngineLog;
}

export interface Lease {
  /** Begins to look for executors that are gone. */
  watch(): void;
  /** Ends the lease: what is unfinished here is taken over by others. */
  release(): Promise<void>;
}

/**
 * Says, by a row that is renewed each `beatMs`, that this process lives; and takes over the work of those that do not.
 * Whoever finds a lease run out deletes it before it takes over, so a process that was merely late (a laptop's sleep, a
 * restart of Postgres) goes on when its row is still there and ends when it is not. Time is the database's alone.
 */
export async function takeLease(options: LeaseOptions): Promise<Lease> {
  const { store, executorId, beatMs, ttlMs, log } = options;
  const stopping = new AbortController();
  let watching = false;
  if (options.alone === true) await sql`delete from executor_lease`.execute(store.db);
  await sql`insert into executor_lease (id, until) values (${executorId}, clock_timestamp() + ${ttlMs} * interval '1 ms')`.execute(
    store.db,
  );

  async function beat(): Promise<void> {
    const renewed = await sql`update executor_lease set until = clock_timestamp() + ${ttlMs} * interval '1 ms'
      where id = ${executorId}`.execute(store.db);
    if (stopping.signal.aborted) return;
    if (renewed.numAffectedRows === 0n) {
      stopping.abort();
      options.onTaken();
      return;
    }
    if (!watching) return;
    for (const gone of await executorsGone(store)) {
      log('warn', `takes over the work of ${gone}`);
      await options.recover(gone);
    }
  }

  /** Ended early when the watch begins: whoever waits for a worker to come back waits long enough. */
  let nap = new AbortController();

  async function beatForever(): Promise<void> {
    while (!stopping.signal.aborted) {
      nap = new AbortController();
      await beat().catch((error: unknown) =>
        log('warn', `lease: ${error instanceof Error ? error.message : String(error)}`),
      );
      const signal = AbortSignal.any([stopping.signal, nap.signal]);
      await wait(beatMs, undefined, { signal }).catch(() => undefined);
    }
  }

  const beating = beatForever();
  return {
    watch: () => {
      watching = true;
      nap.abort();
    },
    release: async () => {
      stopping.abort();
      await beating;
      await sql`delete from executor_lease where id = ${executorId}`.execute(store.db);
    },
  };
}

/** Executors with unfinished work and without a lease; a lease that ran out is deleted here, once, by whoever is first. */
async function executorsGone(store: Store): Promise<string[]> {
  await sql`delete from executor_lease where until < clock_timestamp()`.execute(store.db);
  const { rows } = await sql<{ id: string }>`select distinct w.executor_id as id from dbos.workflow_status w
    where w.status = 'PENDING' and w.executor_id is not null
      and not exists (select from executor_lease l where l.id = w.executor_id)`.execute(store.db);
  return rows.map(({ id }) => id);
}
