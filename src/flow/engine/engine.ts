import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';

import { DBOSClient } from '@dbos-inc/dbos-sdk';

import { clientOf } from '../../store/database.ts';
import type { Store, Tx } from '../../store/database.ts';
import { tellWorkers } from './ask-queues.ts';
import type { Durable } from './durable.ts';
import { APPLICATION, ENGINE_VERSION, engineUrl } from './identity.ts';
import { engineLogger, quiet } from './log.ts';
import type { EngineLog } from './log.ts';
import { plainJson } from './plain-json.ts';
import { deleteHistory } from './retention.ts';
import { hasEnded, stateOf } from './state.ts';
import type { WorkflowState } from './state.ts';
import { findStranded } from './stranded.ts';
import type { Stranded } from './stranded.ts';
import { startWorker } from './worker.ts';
import type { Worker, WorkerOptions } from './worker.ts';

/** The durable engine. It can ask for work from the moment it is made (role `api`); it does work after `start` (role `worker`). */
export interface Engine {
  readonly executorId: string;
  /**
   * Asks for a workflow, in the transaction of the rows that are the reason for it: both are there, or neither.
   * The id makes it idempotent for ever: an id that was used before is not run again, whatever became of it.
   */
  enqueue<Input>(tx: Tx | null, workflow: Durable<Input>, input: Input, options: EnqueueOptions): Promise<void>;
  /** Shows in `state` at once; a running step hears it within about a second, by its signal. Nothing for one that has ended. */
  cancel(id: string): Promise<void>;
  state(id: string): Promise<WorkflowState>;
  /** Waits until a workflow has ended. @throws the signal's reason */
  ended(id: string, options?: { readonly signal?: AbortSignal; readonly pollMs?: number }): Promise<WorkflowState>;
  /** Work that no one does and no one will: for the server's log and `towpath doctor`. */
  stranded(olderThanMs: number): Promise<Stranded[]>;
  /** Forgets workflows that ended more than `olderThanMs` ago. @returns how many */
  forget(olderThanMs: number): Promise<number>;
  start(worker: WorkerOptions): Promise<void>;
  /**
   * Takes no more work, waits up to `drainMs` for what runs, and lets go. What is still running then is taken over by
   * another worker, so this process has to end. Safe to repeat.
   */
  stop(options?: { readonly drainMs?: number }): Promise<void>;
}

export interface EnqueueOptions {
  readonly id: string;
  /** `default` when not given. */
  readonly queue?: string;
  /** For queues with a limit per partition (an environment, say), and only for those. */
  readonly partition?: string;
  readonly delayMs?: number;
}

export interface EngineOptions {
  readonly store: Store;
  /** Unique per process and start; made up when not given. */
  readonly executorId?: string;
  readonly log?: EngineLog;
  /** Ends the process, unless a test says otherwise: another worker has taken its work over. */
  readonly onTaken?: () => void;
}

/** The database is migrated (`migrateEverything`). The engine uses the store's database with connections of its own. */
export async function createEngine({
  store,
  executorId = newExecutorId(),
  log = quiet,
  onTaken = endProcess,
}: EngineOptions): Promise<Engine> {
  const client = await DBOSClient.create({
    systemDatabaseUrl: engineUrl(store.url),
    systemDatabasePoolSize: 4,
    applicationName: APPLICATION,
    logger: engineLogger(log),
    serializer: plainJson,
  });
  let worker: Worker | undefined;
  let stopped: Promise<void> | undefined;

  const state = async (id: string): Promise<WorkflowState> => stateOf(await client.retrieveWorkflow(id).getStatus());

  return {
    executorId,
    async enqueue(tx, workflow, input, { id, queue = 'default', partition, delayMs }) {
      const request = {
        workflowName: workflow.name,
        workflowID: id,
        queueName: queue,
        appVersion: ENGINE_VERSION, // without it only the newest version that ever started would run it
        ...(partition === undefined ? {} : { queuePartitionKey: partition }),
        ...(delayMs === undefined || delayMs <= 0 ? {} : { delaySeconds: delayMs / 1000 }),
      };
      if (tx === null) await client.enqueue(request, input);
      else await client.enqueueInTransaction(clientOf(tx), request, input);
      await tellWorkers(tx ?? store.db, queue);
    },
    cancel: (id) => client.cancelWorkflow(id),
    state,
    async ended(id, { signal, pollMs = 100 } = {}) {
      for (;;) {
        signal?.throwIfAborted();
        const now = await state(id);
        if (hasEnded(now)) return now;
        await wait(pollMs, undefined, signal === undefined ? {} : { signal });
      }
    },
    stranded: (olderThanMs) => findStranded(store, olderThanMs),
    forget: (olderThanMs) => deleteHistory(store, client, olderThanMs),
    async start(options) {
      worker = await startWorker({ store, client, executorId, log, onTaken }, options);
    },
    stop({ drainMs = 10_000 } = {}) {
      stopped ??= (worker?.stop(drainMs) ?? Promise.resolve()).then(() => client.destroy());
      return stopped;
    },
  };
}

/** Host and process for people, chance for uniqueness: a process that comes back is another executor. */
function newExecutorId(): string {
  return `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`;
}

/** 70 is `EX_SOFTWARE`: whoever supervises this process starts it again, under a new id. */
function endProcess(): void {
  process.exit(70);
}
