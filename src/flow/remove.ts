import {
  deadPreviews,
  environmentById,
  lockEnvironment,
  recordEmptied,
  recordRemoved,
} from '../environment/environment-store.ts';
import { enterLane, inLane, leaveLane } from '../environment/lane-store.ts';
import { hasCode, TowpathError } from '../lib/error.ts';
import { openPromotions } from '../path/promotion-list-store.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import { driverOf, targetOf } from './deploy-release.ts';
import { durable } from './engine/durable.ts';
import { step, transaction } from './engine/step.ts';
import { definitionOf } from './gather.ts';
import type { House } from './house.ts';
import { move } from './move.ts';
import { isTransient } from './transient.ts';
import { wake } from './wake.ts';

/**
 * Ends a preview: nothing of it stays on the target, its ports are free again, its history stays. One whose branch is
 * pushed again meanwhile goes on: it is empty for a moment, and what waits for it moves in.
 */
export function removeFlow(house: House) {
  return durable('remove', async ({ environmentId }: { environmentId: string }) => {
    const holder = `remove:${environmentId}`;
    const running = await transaction('stop', (tx) => stopPromotions(tx, environmentId));
    if (running === null) return;
    await step('cancel', async () => {
      for (const { id, run } of running) await house.starts.cancelPromotion(id, run);
    });
    const retry = {
      attempts: 20,
      firstMs: 500,
      when: (error: unknown) => isTransient(error) || hasCode(error, 'lane.taken'),
    };
    await step('destroy', ({ signal }) => destroy(house, environmentId, holder, signal), { retry });
    await transaction('gone', (tx) => end(house, tx, environmentId, holder));
  });
}

/** @returns the runs to be ended; null when the preview lives on: its branch is there again */
async function stopPromotions(tx: Tx, environmentId: string): Promise<{ id: string; run: number }[] | null> {
  const { removedAt } = await lockEnvironment(tx, environmentId);
  if (removedAt !== null || !(await isDead(tx, environmentId))) return null;
  const open = await openPromotions(tx, [environmentId]);
  for (const { id } of open) await move(tx, id, { to: 'cancelled', detail: { by: 'the end of its environment' } });
  return open.map(({ id, runs }) => ({ id, run: runs }));
}

async function end(house: House, tx: Tx, environmentId: string, holder: string): Promise<void> {
  const { projectId, name } = await lockEnvironment(tx, environmentId);
  await leaveLane(tx, environmentId, holder);
  if (await isDead(tx, environmentId)) {
    await recordRemoved(tx, environmentId);
    await recordEvent(tx, { projectId, kind: 'environment.removed', subject: environmentId, data: { name } });
  } else {
    await recordEmptied(tx, environmentId);
  }
  await wake(house, tx, environmentId);
}

async function isDead(tx: Tx, environmentId: string): Promise<boolean> {
  return (await deadPreviews(tx, environmentId)).length > 0;
}

async function destroy(house: House, environmentId: string, holder: string, signal: AbortSignal): Promise<void> {
  const environment = await environmentById(house.store.db, environmentId);
  if (environment.removedAt !== null) return;
  const lane = await enterLane(house.store.db, environmentId, holder);
  if (lane.kind === 'taken')
    throw new TowpathError({ code: 'lane.taken', what: 'A change is under way there.', fix: 'It is tried again.' });
  const driver = driverOf(house, definitionOf(environment));
  const target = await targetOf(house, environment);
  await inLane({ store: house.store, environmentId, holder, signal }, (laneSignal, token) =>
    driver.destroy(target, {
      log: (line) => house.log.info({ environment: environment.name }, line),
      signal: laneSignal,
      token,
    }),
  );
}
