import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';

import { deadPreviews } from '../environment/environment-store.ts';
import { leaveLane } from '../environment/lane-store.ts';
import { movePromotion, promotionById, duePromotions } from '../path/promotion-store.ts';
import { recordEvent } from '../store/event-store.ts';
import type { LogLine } from '../lib/log.ts';
import type { Engine } from './engine/engine.ts';
import type { House } from './house.ts';

const BATCH = 100;
const RECONCILE_EVERY_MS = 15_000;

/**
 * Invariant 9: nothing ends by an event alone. Once a second what waits and is due looks again; now and then what should
 * exist is compared with what does. One process at a time does it; which one does not matter.
 */
export async function runSweep(
  house: House,
  engine: Engine,
  revive: (log: LogLine) => Promise<number>,
  signal: AbortSignal,
): Promise<void> {
  let reconciledAt = 0;
  while (!signal.aborted) {
    try {
      await house.store.transaction(async (tx) => {
        const { rows } = await sql<{
          mine: boolean;
        }>`select pg_try_advisory_xact_lock(hashtext('towpath.sweep')) as mine`.execute(tx);
        if (rows[0]?.mine !== true) return;
        for (const id of await duePromotions(tx, BATCH)) await house.starts.promote(tx, id);
        for (const id of await deadPreviews(tx)) await house.starts.removePreview(tx, id);
      });
      if (performance.now() - reconciledAt > RECONCILE_EVERY_MS) {
        reconciledAt = performance.now();
        await reconcile(house, engine);
        await revive((line) => house.log.warn(line));
      }
    } catch (error) {
      house.log.warn({ err: error }, 'the sweep failed and is tried again');
    }
    await sleep(1000, undefined, { signal }).catch(() => undefined);
  }
}

/** A promotion that is said to be at work, while no workflow works for it, has failed: say so and free its lane. */
async function reconcile(house: House, engine: Engine): Promise<void> {
  const rows = await house.store.db
    .selectFrom('promotion')
    .select(['id', 'runs', 'state', 'environment_id'])
    .where('ended_at', 'is', null)
    .where('state', '<>', 'waiting')
    .where('changed_at', '<', sql<Date>`clock_timestamp() - interval '15 seconds'`)
    .limit(BATCH)
    .execute();
  for (const { id, runs, environment_id: environmentId } of rows) {
    const state = await engine.state(`promote:${id}:${runs}`);
    if (state.kind === 'queued' || state.kind === 'running') continue;
    await house.store.transaction(async (tx) => {
      const promotion = await promotionById(tx, id);
      if (promotion === null || promotion.endedAt !== null || promotion.runs !== runs) return;
      const problem =
        state.kind === 'failed'
          ? state.problem
          : {
              code: 'promotion.lost',
              what: 'Its work ended without a result.',
              fix: 'Promote it again; the server log has the story.',
            };
      const moved = await movePromotion(tx, id, { to: 'failed', detail: { step: promotion.state, problem } });
      await leaveLane(tx, environmentId, id);
      if (moved !== null)
        await recordEvent(tx, {
          projectId: moved.projectId,
          kind: 'promotion.failed',
          subject: id,
          data: { environment: environmentId, problem },
        });
    });
  }
}
