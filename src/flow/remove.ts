import { environmentById, recordRemoved } from '../environment/environment-store.ts';
import { enterLane, inLane, leaveLane } from '../environment/lane-store.ts';
import { hasCode, TowpathError } from '../lib/error.ts';
import { openPromotions } from '../path/promotion-list-store.ts';
import { movePromotion } from '../path/promotion-store.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import { driverOf, targetOf } from './deploy-release.ts';
import { durable } from './engine/durable.ts';
import { step, transaction } from './engine/step.ts';
import { definitionOf } from './gather.ts';
import type { House } from './house.ts';
import { isTransient } from './transient.ts';

/** Ends a preview: nothing of it stays on the target, its ports are free again, its history stays. */
export function removeFlow(house: House) {
  return durable('remove', async ({ environmentId }: { environmentId: string }) => {
    const holder = `remove:${environmentId}`;
    const running = await transaction('stop', (tx) => stopPromotions(tx, environmentId));
    await step('cancel', async () => {
      for (const { id, run } of running) await house.starts.cancelPromotion(id, run);
    });
    const retry = {
      attempts: 20,
      firstMs: 500,
      when: (error: unknown) => isTransient(error) || hasCode(error, 'lane.taken'),
    };
    await step('destroy', ({ signal }) => destroy(house, environmentId, holder, signal), { retry });
    await transaction('gone', async (tx) => {
      const { projectId, name } = await environmentById(tx, environmentId);
      await recordRemoved(tx, environmentId);
      await leaveLane(tx, environmentId, holder);
      await recordEvent(tx, { projectId, kind: 'environment.removed', subject: environmentId, data: { name } });
    });
  });
}

async function stopPromotions(tx: Tx, environmentId: string): Promise<{ id: string; run: number }[]> {
  const open = await openPromotions(tx, [environmentId]);
  for (const { id } of open)
    await movePromotion(tx, id, { to: 'cancelled', detail: { by: 'the end of its environment' } });
  return open.map(({ id, runs }) => ({ id, run: runs }));
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
