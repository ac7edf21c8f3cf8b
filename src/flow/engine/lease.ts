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
 * Whoever finds a lease silent deletes it before it takes over, so a process that was merely late (a laptop's sleep, a
 * restart of Postgres) goes on when its row is still there and ends when it is not. Time is that of the watcher's own watch.
 */
export async function takeLease(options: LeaseOptions): Promise<Lease> {
  const { store, executorId, beatMs, ttlMs, log } = options;
  const stopping = new AbortController();
  let watching = false;
  const watch = createWatch(ttlMs);
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
    await forget(store, watch.silent(await leasesIn(store), performance.now()));
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

interface LeaseRow {
  readonly id: string;
  /** As text: nothing of it may be lost, for it is only compared. */
  readonly until: string;
}

/** So often it is seen unchanged: after an outage of the database, which nobody could renew in, there is time to do so. */
const LOOKS = 4;

/**
 * Who is silent is not told by the instant in its lease, which clocks that jump make longer or shorter, but by our own
 * watch: nobody has renewed it for as long as it holds.
 */
function createWatch(ttlMs: number) {
  let heard = new Map<string, { readonly until: string; readonly atMs: number; readonly looks: number }>();
  return {
    silent(leases: readonly LeaseRow[], nowMs: number): LeaseRow[] {
      const before = heard;
      heard = new Map(
        leases.map(({ id, until }) => {
          const last = before.get(id);
          return [id, last?.until === until ? { ...last, looks: last.looks + 1 } : { until, atMs: nowMs, looks: 0 }];
        }),
      );
      return leases.filter(({ id }) => {
        const { atMs = nowMs, looks = 0 } = heard.get(id) ?? {};
        return nowMs - atMs > ttlMs && looks >= LOOKS;
      });
    },
  };
}

async function leasesIn(store: Store): Promise<LeaseRow[]> {
  const { rows } = await sql<LeaseRow>`select id, until::text as until from executor_lease`.execute(store.db);
  return rows;
}

/** Once, by whoever is first, and not when it was renewed meanwhile. */
async function forget(store: Store, leases: readonly LeaseRow[]): Promise<void> {
  for (const { id, until } of leases)
    await sql`delete from executor_lease where id = ${id} and until::text = ${until}`.execute(store.db);
}

/** Executors with unfinished work and without a lease. */
async function executorsGone(store: Store): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`select distinct w.executor_id as id from dbos.workflow_status w
    where w.status = 'PENDING' and w.executor_id is not null
      and not exists (select from executor_lease l where l.id = w.executor_id)`.execute(store.db);
  return rows.map(({ id }) => id);
}
