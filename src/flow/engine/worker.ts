import { DBOS } from '@dbos-inc/dbos-sdk';
import type { DBOSClient } from '@dbos-inc/dbos-sdk';
import { registerDataSource } from '@dbos-inc/dbos-sdk/datasource';
// Not public, and pinned by version: the chaos test is the contract. It gives the workflows of an executor back to their queues.
import { DBOSExecutor } from '@dbos-inc/dbos-sdk/internal/dbos-executor';

import type { Store } from '../../store/database.ts';
import { type Asking, askQueues, SELDOM_MS } from './ask-queues.ts';
import { watchClock } from './clock-back.ts';
import { createDataSource } from './data-source.ts';
import type { Durable } from './durable.ts';
import { EngineError } from './error.ts';
import { APPLICATION, ENGINE_VERSION, engineUrl } from './identity.ts';
import { takeLease } from './lease.ts';
import { engineLogger } from './log.ts';
import type { EngineLog } from './log.ts';
import { LOOK_FOR_LOST_MS, lostClaims } from './lost-claims.ts';
import { watchOutagesOf } from './outage.ts';
import { plainJson } from './plain-json.ts';
import { deleteHistory } from './retention.ts';
import { findStranded } from './stranded.ts';

export interface WorkerOptions {
  /** All workflows of the installation: a worker that lacks one would take it from the queue and not run it. */
  readonly workflows: readonly Durable[];
  /** Name -> limits; `default` alone when not given. All workers give the same. Each is asked for work on its own. */
  readonly queues?: Readonly<Record<string, QueueLimits>>;
  /** The queues this worker takes work from; all when not given. */
  readonly listen?: readonly string[];
  readonly beatMs?: number;
  /** How long a worker may be silent before its work is taken over. */
  readonly leaseMs?: number;
  /** No other process works on this database, so what a worker before left is taken over at once. */
  readonly alone?: boolean;
  /** Ended workflows are forgotten after this. */
  readonly keepHistoryMs?: number;
  /** How often it is looked for work that was claimed here and is not done. */
  readonly lookForLostMs?: number;
}

export interface QueueLimits {
  /** Running at once, over all workers. */
  readonly everywhere?: number;
  /** Running at once in one worker. */
  readonly perWorker?: number;
  /** Running at once per partition, over all workers. It counts rows and is not a mutual exclusion: that is the lane. */
  readonly perPartition?: number;
  /** Running at once per partition in one worker. */
  readonly perWorkerOfPartition?: number;
}

export interface Worker {
  stop(drainMs: number): Promise<void>;
}

interface Parts {
  readonly store: Store;
  readonly client: DBOSClient;
  readonly executorId: string;
  readonly log: EngineLog;
  readonly onTaken: () => void;
}

const DAY_MS = 86_400_000;
const CARE_EVERY_MS = 600_000;
const STRANDED_AFTER_MS = 900_000;

/** One per process: the engine underneath is a global. @throws EngineError `engine.running` */
export async function startWorker(parts: Parts, options: WorkerOptions): Promise<Worker> {
  if (DBOS.isInitialized()) {
    throw new EngineError({
      code: 'engine.running',
      what: 'This process runs a worker already.',
      fix: 'Stop the first engine before another is started, or start a process of its own.',
    });
  }
  const { store, client, executorId, log } = parts;
  const queues = options.queues ?? { default: {} };
  for (const [name, limits] of Object.entries(queues)) await client.registerQueue(name, queueOptions(limits));
  let asking: Asking | undefined;
  for (const { name, run } of options.workflows)
    DBOS.registerWorkflow((input: never) => run(input).finally(() => asking?.roomMade()), { name });
  watchOutagesOf(store);
  registerDataSource(createDataSource(store));
  DBOS.setConfig({
    name: APPLICATION,
    systemDatabaseUrl: engineUrl(store.url),
    applicationVersion: ENGINE_VERSION,
    executorID: executorId,
    runMigrations: false,
    logger: engineLogger(log),
    serializer: plainJson,
    ...(options.listen === undefined ? {} : { listenQueues: [...options.listen] }),
  });
  // The lease comes first: work claimed without one would look like a dead worker's.
  const lease = await takeLease({
    store,
    executorId,
    beatMs: options.beatMs ?? 1_000,
    ttlMs: options.leaseMs ?? 5_000,
    alone: options.alone,
    recover: async (gone) => {
      await DBOSExecutor.globalInstance?.recoverPendingWorkflows([gone]);
      asking?.askAll();
    },
    onTaken: parts.onTaken,
    log,
  });
  try {
    await DBOS.launch();
  } catch (error) {
    await lease.release();
    await DBOS.shutdown({ deregister: true });
    throw error;
  }
  const executor = DBOSExecutor.globalInstance;
  if (executor === undefined) throw new Error('The engine was launched and has no executor.');
  asking = await askQueues(executor, store, options.listen ?? Object.keys(queues));
  lease.watch();
  const clock = watchClock(executor, options.listen ?? null, log);
  const isRunning = (id: string): boolean => executor.systemDatabase.checkForRunningWorkflow(id);
  const giveBack = lostClaims({ store, executorId, isRunning });
  let looking: Promise<void> = Promise.resolve();
  const look = async (): Promise<void> => {
    const given = await giveBack();
    for (const id of given) log('warn', `${id} was claimed here and never begun: it is in line again`);
    if (given.length > 0) asking?.askAll();
  };
  const losses = setInterval(() => {
    looking = looking.then(look).catch(() => undefined); // the database is away: the next look tells
  }, options.lookForLostMs ?? LOOK_FOR_LOST_MS);
  const care = setInterval(() => void takeCare(parts, options.keepHistoryMs ?? 30 * DAY_MS), CARE_EVERY_MS);
  care.unref();
  return {
    async stop(drainMs) {
      clearInterval(care);
      clearInterval(losses);
      await looking;
      await asking?.stop();
      await clock.stop();
      await DBOS.shutdown({ workflowCompletionTimeoutMS: drainMs, deregister: true });
      await lease.release();
    },
  };
}

function queueOptions({ everywhere, perWorker, perPartition, perWorkerOfPartition }: QueueLimits) {
  return {
    minPollingIntervalMs: SELDOM_MS,
    ...(everywhere === undefined ? {} : { globalConcurrency: everywhere }),
    ...(perWorker === undefined ? {} : { workerConcurrency: perWorker }),
    ...(perPartition === undefined ? {} : { partitionConcurrency: perPartition }),
    ...(perWorkerOfPartition === undefined ? {} : { partitionWorkerConcurrency: perWorkerOfPartition }),
  };
}

/** What the vendor's paid product would do: history has an end, and work that no one does is named. */
async function takeCare({ store, client, log }: Parts, keepHistoryMs: number): Promise<void> {
  try {
    const forgotten = await deleteHistory(store, client, keepHistoryMs);
    if (forgotten > 0) log('info', `forgot ${forgotten} workflows that ended long ago`);
    for (const { id, reason } of await findStranded(store, STRANDED_AFTER_MS))
      log('error', `${id} is stranded: ${reason}`);
  } catch (error) {
    log('warn', `care of the engine's history: ${error instanceof Error ? error.message : String(error)}`);
  }
}
