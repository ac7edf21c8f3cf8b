import { environmentsOf, lockEnvironment } from '../environment/environment-store.ts';
import { openPromotions } from '../path/promotion-list-store.ts';
import { isWorking } from '../path/promotion.ts';
import type { Release } from '../release/release.ts';
import { releaseById, releasesByIds } from '../release/release-store.ts';
import { yankRelease } from '../release/yank-store.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import type { House } from './house.ts';
import { move } from './move.ts';
import { putBack } from './put-back.ts';
import { stateYank } from './statements/state.ts';
import { wakeProject } from './wake.ts';

export interface Yank {
  readonly reason: string;
  readonly by: string;
  /** The promotion whose failure is the reason: it sees to itself. */
  readonly failed?: string;
}

/** A run of a promotion that has ended: the caller tells the engine, once the transaction is over. */
export interface StoppedRun {
  readonly id: string;
  readonly run: number;
}

/**
 * Bars a release's artifacts. Whatever waits looks again, and whatever brings them in at this moment ends: they never go
 * live. What runs stays until it is replaced.
 * @returns null when the release was barred before
 */
export async function yank(house: House, tx: Tx, release: Release, why: Yank): Promise<readonly StoppedRun[] | null> {
  // everybody locks environments before releases, and several in the order of their ids
  const environments = (await environmentsOf(tx, release.projectId)).map(({ id }) => id).toSorted();
  for (const id of environments) await lockEnvironment(tx, id);
  if (!(await yankRelease(tx, release.id, why.reason, why.by))) return null;
  await stateYank(tx, release, { state: 'yanked', reason: why.reason, by: why.by }, new Date(house.clock.now()));
  await recordEvent(tx, {
    projectId: release.projectId,
    kind: 'release.yanked',
    subject: release.id,
    data: { reason: why.reason, by: why.by },
  });
  const stopped: StoppedRun[] = [];
  for (const id of environments) stopped.push(...(await stopIn(house, tx, id, release, why)));
  await wakeProject(house, tx, release.projectId);
  return stopped;
}

async function stopIn(
  house: House,
  tx: Tx,
  environmentId: string,
  { fingerprint }: Release,
  { reason, by, failed }: Yank,
): Promise<StoppedRun[]> {
  const { currentReleaseId } = await lockEnvironment(tx, environmentId);
  const atWork = (await openPromotions(tx, [environmentId])).find(({ state }) => isWorking(state));
  if (atWork === undefined || atWork.id === failed) return [];
  const [coming] = await releasesByIds(tx, [atWork.releaseId]);
  const current = currentReleaseId === null ? null : await releaseById(tx, currentReleaseId);
  // what is there already stays, so it may be completed
  if (coming?.fingerprint !== fingerprint || current?.fingerprint === fingerprint) return [];
  const reasons = [
    { gate: 'yank', what: `It was yanked under way: ${reason}`, fix: 'Promote another release, or lift the yank.' },
  ];
  const ended = await move(tx, atWork.id, { to: 'refused', detail: { reasons } });
  if (ended === null) return [];
  await putBack(house, tx, ended, { by, why: 'was yanked' });
  return [{ id: ended.id, run: ended.runs }];
}
