import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as wait } from 'node:timers/promises';

import { DBOS } from '@dbos-inc/dbos-sdk';
import { assertStillOwnsWorkflow } from '@dbos-inc/dbos-sdk/datasource';
import type { DataSourceTransactionHandler } from '@dbos-inc/dbos-sdk/datasource';
import { sql } from 'kysely';

import { isDiskFull } from '../../lib/disk-full.ts';
import { isDuplicate, isTransient } from '../../store/database.ts';
import type { Store, Tx } from '../../store/database.ts';
import { passBoundary } from './fault.ts';
import { outageOver } from './outage.ts';

/** The name under which the engine knows it. */
export const DATA_SOURCE = 'towpath';

/** Gives the function of a transaction its transaction. */
export const openTransaction = new AsyncLocalStorage<Tx>();

const TRIES = 12;
/** An hour: somebody has to free space, and what is in work can do nothing meanwhile. */
const TRIES_FOR_SPACE = 720;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;

/**
 * Exactly once for our own rows: the function's writes and the record of its result are one transaction, and a run of the
 * workflow that no longer owns it is refused before the commit. A lost connection is safe to try again, even when the
 * commit's answer was lost with it: the record then shows what happened.
 */
export function createDataSource(store: Store): DataSourceTransactionHandler {
  return {
    name: DATA_SOURCE,
    initialize: () => Promise.resolve(),
    destroy: () => Promise.resolve(),
    async deleteCheckpoints(workflow, fromStep, beforeCommit) {
      await store.transaction(async (tx) => {
        await sql`delete from dbos.transaction_completion where workflow_id = ${workflow} and function_num >= ${fromStep}`.execute(
          tx,
        );
        await beforeCommit?.();
      });
    },
    async invokeTransactionFunction<This, Args extends unknown[], Return>(
      config: unknown,
      self: This,
      work: (this: This, ...args: Args) => Promise<Return>,
      ...args: Args
    ): Promise<Return> {
      const workflow = DBOS.workflowID ?? '';
      const step = DBOS.stepID ?? 0;
      const result = await withRetries(async () => {
        const before = await recordedResult(store, workflow, step);
        if (before !== undefined) return before.result;
        return store.transaction(async (tx) => {
          const text = JSON.stringify({ result: await openTransaction.run(tx, () => work.apply(self, args)) });
          await sql`insert into dbos.transaction_completion (workflow_id, function_num, output)
            values (${workflow}, ${step}, ${text})`.execute(tx);
          await assertStillOwnsWorkflow(workflow);
          return parseResult(text).result;
        });
      });
      passBoundary(nameIn(config), 'done');
      return result as Return;
    },
  };
}

async function recordedResult(store: Store, workflow: string, step: number): Promise<{ result: unknown } | undefined> {
  const { rows } = await sql<{ output: string }>`select output from dbos.transaction_completion
    where workflow_id = ${workflow} and function_num = ${step}`.execute(store.db);
  return rows[0] === undefined ? undefined : parseResult(rows[0].output);
}

/** Also the first run takes its result from the text, so that it never sees more (a Date, say) than a later run would. */
function parseResult(text: string): { result: unknown } {
  return JSON.parse(text) as { result: unknown };
}

async function withRetries<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1, waitMs = FIRST_WAIT_MS; ; attempt++, waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      return await work();
    } catch (error) {
      const otherWasFirst = isDuplicate(error, 'transaction_completion_pkey');
      const most = isDiskFull(error) ? TRIES_FOR_SPACE : TRIES;
      if (attempt >= most || !(otherWasFirst || isTransient(error))) throw error;
    }
    await wait(waitMs);
    await outageOver();
  }
}

function nameIn(config: unknown): string {
  return typeof config === 'object' && config !== null && 'name' in config ? String(config.name) : '';
}
