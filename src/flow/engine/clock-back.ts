// Not public, and pinned by version, as the executor itself: the tests of clocks that jump are the contract.
import type { DBOSExecutor } from '@dbos-inc/dbos-sdk/internal/dbos-executor';
import { wfQueueRunner } from '@dbos-inc/dbos-sdk/internal/wfqueue';

import type { EngineLog } from './log.ts';

const LOOK_MS = 500;
/** What keeps a clock right by NTP takes smaller steps, and a second without work is no harm. */
const STEP_MS = 1_000;

export interface ClockWatch {
  /** Before the engine is shut down. */
  stop(): Promise<void>;
}

/**
 * The engine asks its queues when the time of day says so. After a step back it would ask for nothing until that time came
 * again, hours later perhaps: so it is made to begin anew.
 */
export function watchClock(executor: DBOSExecutor, listen: readonly string[] | null, log: EngineLog): ClockWatch {
  let ahead = aheadOfWatch();
  let asking = Promise.resolve();
  let turn = Promise.resolve();

  async function beginAnew(): Promise<void> {
    log('warn', 'the clock was set back: the queues are asked anew');
    await executor.deactivateEventReceivers(); // resolves when nobody asks any more
    await asking;
    asking = wfQueueRunner.dispatchLoop(executor, listen === null ? null : [...listen]);
  }

  const timer = setInterval(() => {
    const before = ahead;
    ahead = aheadOfWatch();
    if (ahead - before > STEP_MS) log('warn', 'the clock was set ahead, or this machine slept');
    if (before - ahead > STEP_MS) turn = turn.then(beginAnew).catch((error: unknown) => log('error', String(error)));
  }, LOOK_MS);
  return {
    async stop() {
      clearInterval(timer);
      await turn;
      await executor.deactivateEventReceivers();
      await asking;
    },
  };
}

/** How far the time of day is ahead of a watch that nobody sets. */
function aheadOfWatch(): number {
  return Date.now() - performance.now();
}
