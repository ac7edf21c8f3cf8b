import { movePromotion, openPromotions, type Promotion } from '../path/promotion-store.ts';
import { releasesByIds } from '../release/release-store.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import type { House } from './house.ts';

/**
 * Of promotions that came by themselves and wait for one environment, the newest by ancestry stays: each whose commit
 * is contained in this one's is superseded, and this one is when a waiting one contains it. What a person asked for stays.
 */
export async function supersede(house: House, tx: Tx, promotion: Promotion): Promise<void> {
  const others = (await openPromotions(tx, [promotion.environmentId])).filter(
    ({ id, automatic, state }) =>
      id !== promotion.id && automatic && (state === 'waiting' || state === 'requested' || state === 'evaluating'),
  );
  if (others.length === 0) return;
  const releases = new Map(
    (
      await releasesByIds(
        tx,
        [promotion, ...others].map(({ releaseId }) => releaseId),
      )
    ).map((release) => [release.id, release]),
  );
  const mine = releases.get(promotion.releaseId);
  if (mine === undefined) return;
  const mirror = await house.mirrorOf(mine.repositoryId);
  for (const other of others) {
    const theirs = releases.get(other.releaseId);
    if (theirs === undefined || theirs.commit === mine.commit) continue;
    if (!(await mirror.isAncestor(theirs.commit, mine.commit))) continue;
    const moved = await movePromotion(tx, other.id, {
      to: 'superseded',
      detail: { by: `promotion ${promotion.number}` },
    });
    if (moved !== null) {
      await recordEvent(tx, {
        projectId: other.projectId,
        kind: 'promotion.superseded',
        subject: other.id,
        data: { by: promotion.id, environment: other.environmentId },
      });
    }
  }
}
