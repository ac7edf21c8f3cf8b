// Not public, and pinned by version, as the executor itself: the tests of the engine are the contract.
import { runWithAbortableDbRetries } from '@dbos-inc/dbos-sdk/internal/context';
import type { DBOSExecutor } from '@dbos-inc/dbos-sdk/internal/dbos-executor';
import { wfQueueRunner } from '@dbos-inc/dbos-sdk/internal/wfqueue';
import { sql } from 'kysely';

import { type Bell, createBell } from '../../lib/bell.ts';
import type { Sql, Store } from '../../store/database.ts';

/** Told the name of a queue when something in it may begin. */
const CHANNEL = 'towpath_work';

/** A notification may be lost, and what was delayed comes due without one. */
const ASK_EVERY_MS = 1_000;

/** The engine reads the list of queues when it begins. */
const UNTIL_KNOWN_MS = 50;

/** What ends here is out of the engine's count of what runs a moment after it has ended. */
const AFTER_END_MS = 20;

/** The engine's own asking, which this is in place of: a day, for it has to be something. */
export const SELDOM_MS = 86_400_000;

/** Told once the transaction commits, if it does. */
export async function tellWorkers(db: Sql, queue: string): Promise<void> {
  await sql`select pg_notify(${CHANNEL}, ${queue})`.execute(db);
}

export interface Asking {
  /** Something of this worker ended, so there may be room for what waits. */
  readonly roomMade: () => void;
  /** All queues, now. */
  readonly askAll: () => void;
  /** Before the engine is shut down. */
  stop(): Promise<void>;
}

/**
 * Takes work from the queues when somebody says that there is some, and else once a second. The engine by itself asks at an
 * interval: a short one costs an idle server and its Postgres dearly, a long one makes every step of the path wait.
 */
export async function askQueues(executor: DBOSExecutor, store: Store, queues: readonly string[]): Promise<Asking> {
  const stopping = new AbortController();
  const { signal } = stopping;
  const bells = new Map(queues.map((name): [string, Bell] => [name, createBell(signal)]));
  const askAll = (): void => bells.forEach(({ ring }) => ring());
  const silence = await store.listen(CHANNEL, (name) => (name === '' ? askAll() : bells.get(name)?.ring()));
  const asking = runWithAbortableDbRetries(signal, () =>
    Promise.all(Array.from(bells, ([name, bell]) => askUntil(executor, name, bell, signal))),
  );
  let room: NodeJS.Timeout | undefined;
  return {
    askAll,
    roomMade: () => {
      room ??= setTimeout(() => {
        room = undefined;
        askAll();
      }, AFTER_END_MS);
    },
    async stop() {
      stopping.abort();
      clearTimeout(room);
      await silence();
      await asking;
    },
  };
}

/** One question at a time for each queue: what is being taken is not counted yet as running. */
async function askUntil(executor: DBOSExecutor, name: string, bell: Bell, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const queue = wfQueueRunner['states'].get(name)?.queue;
    if (queue !== undefined) await wfQueueRunner['pollQueue'](executor, queue);
    await bell.wait(queue === undefined ? UNTIL_KNOWN_MS : ASK_EVERY_MS);
  }
}
