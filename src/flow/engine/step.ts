import { DBOS } from '@dbos-inc/dbos-sdk';
import { runTransaction } from '@dbos-inc/dbos-sdk/datasource';

import { isTransient } from '../../store/database.ts';
import type { Tx } from '../../store/database.ts';
import { DATA_SOURCE, openTransaction } from './data-source.ts';
import { EngineError } from './error.ts';
import { passBoundary } from './fault.ts';
import { outageOver } from './outage.ts';
import type { IfPlain } from './plain-json.ts';

export interface StepContext {
  /** Aborted within about a second after the workflow was cancelled. The step ends its own work and throws. */
  readonly signal: AbortSignal;
  /** 1 for the first try within this run of the workflow. */
  readonly attempt: number;
}

/** Waits `firstMs`, then `factor` times as long each time. The error of the last try is the step's error, as it was thrown. */
export interface Retry {
  /** Tries in all, the first one included. */
  readonly attempts: number;
  readonly firstMs: number;
  readonly factor?: number;
  /** Which errors are worth another try, besides those of a database that is away; all of them when not given. */
  readonly when?: (error: unknown) => boolean;
}

/** What holds when a step says nothing: a Postgres that is away is waited for, any other error is its answer. */
const OUTAGE: Retry = { attempts: 8, firstMs: 250, when: () => false };

/**
 * Does something once, as far as the workflow can tell: when it was recorded as done, a later run of the workflow takes the
 * recorded result. A kill in the midst of it makes it run again, so it must be safe to repeat. Returns JSON.
 * Inside another step it is a part of that step.
 */
export async function step<T>(
  name: string,
  work: ((context: StepContext) => Promise<T> | T) & IfPlain<T>,
  { retry = OUTAGE }: { readonly retry?: Retry } = {},
): Promise<T> {
  if (!DBOS.isInWorkflow()) return work({ signal: signalOfOuterStep(), attempt: 1 });
  let attempt = 0;
  return recorded(
    name,
    () => attempt > 0,
    DBOS.runStep(
      async () => {
        attempt += 1;
        passBoundary(name, 'before');
        const signal = signalOfOuterStep();
        const result = await patiently(() => work({ signal, attempt }), signal);
        passBoundary(name, 'done');
        return result;
      },
      {
        name,
        retriesAllowed: true,
        maxAttempts: retry.attempts,
        intervalSeconds: retry.firstMs / 1000,
        backoffRate: retry.factor ?? 2,
        shouldRetry: (error) => attempt < retry.attempts && (isTransient(error) || (retry.when?.(error) ?? true)),
      },
    ),
  );
}

/**
 * Writes rows exactly once: what `work` writes and the record that it was done commit together, and are refused for a run of
 * the workflow that another worker has taken over. `work` may run again after a rollback, so it does nothing but write rows.
 * @throws EngineError `engine.outside` outside a workflow
 */
export async function transaction<T>(name: string, work: ((tx: Tx) => Promise<T>) & IfPlain<T>): Promise<T> {
  if (!DBOS.isInWorkflow()) {
    throw new EngineError({
      code: 'engine.outside',
      what: `The transaction "${name}" was called outside a workflow, or inside one of its steps.`,
      fix: 'Use `store.transaction` there, or call it from the workflow itself.',
    });
  }
  let ran = false;
  const begin = (): Promise<T> => {
    ran = true;
    passBoundary(name, 'before');
    return work(currentTransaction());
  };
  return recorded(name, () => ran, runTransaction(begin, name, { dsName: DATA_SOURCE, config: { name } }));
}

/** Waits without a process: for seconds, or a soak of minutes. What waits for days is a row. */
export async function pause(ms: number): Promise<void> {
  await DBOS.sleepms(ms);
}

function currentTransaction(): Tx {
  const tx = openTransaction.getStore();
  if (tx === undefined) throw new Error('The data source ran a transaction without opening one.');
  return tx;
}

/** A result that was recorded before this run passes no boundary. */
async function recorded<T>(name: string, ranNow: () => boolean, result: Promise<T>): Promise<T> {
  try {
    return await result;
  } finally {
    if (ranNow()) passBoundary(name, 'recorded');
  }
}

/** A try that fails because the database is away ends when it is back, and only then is the next one begun. */
async function patiently<T>(work: () => Promise<T> | T, signal: AbortSignal): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isTransient(error)) await outageOver(signal);
    throw error;
  }
}

const never = new AbortController().signal;

function signalOfOuterStep(): AbortSignal {
  return DBOS.stepStatus?.cancelSignal ?? never;
}
