import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';

import { endings, endProjects } from '../environment/ending-store.ts';
import { duePromotions } from '../path/promotion-list-store.ts';
import { attemptEachIn } from './care/attempt.ts';
import type { Care } from './care/care.ts';
import { recordEvent } from '../store/event-store.ts';
import type { House } from './house.ts';

const BATCH = 100;
const PAUSE_MS = 1000;

/**
 * Invariant 9: nothing ends by an event alone. Once a second what waits and is due looks again; now and then what should
 * exist is compared with what does.
 */
export async function runSweep(house: House, care: Care, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await wakeWhatIsDue(house);
    } catch (error) {
      house.log.warn({ err: error }, 'the sweep failed and is tried again');
    }
    if (!signal.aborted) care.begin(performance.now());
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
  }
  await care.ended();
}

/** One process at a time does it; which one does not matter. One row that cannot be handled holds up no other. */
export async function wakeWhatIsDue(house: House): Promise<void> {
  const { store, starts, log } = house;
  await store.transaction(async (tx) => {
    const { rows } = await sql<{
      mine: boolean;
    }>`select pg_try_advisory_xact_lock(hashtext('towpath.sweep')) as mine`.execute(tx);
    if (rows[0]?.mine !== true) return;
    await attemptEachIn(tx, log, await duePromotions(tx, BATCH), 'waking a promotion', (id) => starts.promote(tx, id));
    await attemptEachIn(tx, log, await endings(tx), 'ending an environment', ({ id }) => starts.remove(tx, id));
    for (const { id, name } of await endProjects(tx))
      await recordEvent(tx, { projectId: id, kind: 'project.removed', subject: id, data: { name } });
  });
}
