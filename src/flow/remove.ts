import {
  endings,
  recordDrivers,
  recordEmptied,
  recordEndProblem,
  recordRemovalDone,
  recordRemoved,
  recordStopped,
} from '../environment/ending-store.ts';
import { lockEnvironment } from '../environment/environment-store.ts';
import { enterLane, inLane, type LaneAnswer, leaveLane } from '../environment/lane-store.ts';
import { hasCode, type Problem, problemOf, TowpathError } from '../lib/error.ts';
import { openPromotions } from '../path/promotion-list-store.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import { destroyAll } from './destroy.ts';
import { durable } from './engine/durable.ts';
import { type Retry, step, transaction } from './engine/step.ts';
import type { House } from './house.ts';
import { move } from './move.ts';
import { stopIfEnded } from './stop-ended.ts';
import { isTransient } from './transient.ts';
import { wake } from './wake.ts';

/**
 * Empties an environment: nothing of it stays on the target. One that is to be gone (a preview without its branch, say)
 * gives its ports back as well, and its history stays. One that nobody wants to end any more is left as it is; one that is
 * wanted again only after it was begun goes on empty, and what waits for it moves in.
 */
export function removeFlow(house: House) {
  const retry: Retry = {
    attempts: 8, // about a minute; whoever looks after lost work begins another
    firstMs: 500,
    when: (error) => isTransient(error) || hasCode(error, 'lane.taken', 'lane.lost'),
  };
  return durable('remove', async ({ environmentId }: { environmentId: string }) => {
    const destroyed = await step('destroy', ({ signal }) => destroy(house, environmentId, signal), { retry });
    await transaction('gone', (tx) => end(house, tx, environmentId, destroyed));
  });
}

/** @returns false when it is not to be empty any more: its branch is there again, say. Then nothing was touched */
async function destroy(house: House, environmentId: string, signal: AbortSignal): Promise<boolean> {
  const { store } = house;
  const lane = await store.transaction((tx) => enter(tx, environmentId));
  if (lane === null) return false;
  if (lane.kind === 'taken') {
    await stopIfEnded(house, lane.holder);
    throw new TowpathError({ code: 'lane.taken', what: 'A change is under way there.', fix: 'It is tried again.' });
  }
  await inLane({ store, environmentId, holder: holderOf(environmentId), signal }, async (laneSignal, token) => {
    try {
      await destroyAll(house, environmentId, { signal: laneSignal, token });
    } catch (error) {
      if (!laneSignal.aborted) await recordEndProblem(store.db, environmentId, cannotEnd(problemOf(error)));
      throw error;
    }
  });
  return true;
}

function cannotEnd({ code, what, fix }: Problem): Problem {
  return { code, what: `What runs there cannot be taken down, and it is tried again: ${what}`, fix };
}

/**
 * Each try asks anew whether it is to be empty, for much may have happened since the one before. Nobody moves in or asks to
 * while that is looked at and the lane is entered; and before anything is touched, nothing there counts as running.
 */
async function enter(tx: Tx, environmentId: string): Promise<LaneAnswer | null> {
  const { stopAskedAt } = await lockEnvironment(tx, environmentId);
  const [ending] = await endings(tx, environmentId);
  if (ending === undefined) return null;
  const by = stopAskedAt === null ? 'the end of its environment' : 'the stop of its environment';
  for (const { id } of await openPromotions(tx, [environmentId]))
    await move(tx, id, { to: 'cancelled', detail: { by } });
  const lane = await enterLane(tx, environmentId, holderOf(environmentId));
  if (lane.kind === 'entered') await recordEmptied(tx, environmentId);
  return lane;
}

async function end(house: House, tx: Tx, environmentId: string, destroyed: boolean): Promise<void> {
  const { projectId, name } = await lockEnvironment(tx, environmentId);
  // whoever was in the lane since may have brought something in: then it is begun anew, if it is still to be empty
  const isMine = await leaveLane(tx, environmentId, holderOf(environmentId));
  await recordRemovalDone(tx, environmentId);
  if (destroyed && isMine) {
    await recordDrivers(tx, environmentId, []);
    if (await recordStopped(tx, environmentId))
      await recordEvent(tx, { projectId, kind: 'environment.stopped', subject: environmentId, data: { name } });
    const [ending] = await endings(tx, environmentId);
    if (ending?.gone === true) {
      await recordRemoved(tx, environmentId);
      await recordEvent(tx, { projectId, kind: 'environment.removed', subject: environmentId, data: { name } });
    }
  }
  await wake(house, tx, environmentId);
}

function holderOf(environmentId: string): string {
  return `remove:${environmentId}`;
}
