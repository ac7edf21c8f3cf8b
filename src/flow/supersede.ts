import { openPromotions } from '../path/promotion-list-store.ts';
import { movePromotion, type Promotion } from '../path/promotion-store.ts';
import type { ReleaseHead } from '../release/release.ts';
import { releaseHeads } from '../release/release-store.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import type { House } from './house.ts';
import { whyWithdrawn } from './withdraw.ts';

/**
 * Of promotions that came by themselves and wait for one environment, the newest by ancestry (of one commit, the later edition)
 * stays: each whose commit is contained in this one's is superseded, and this one is when a waiting one contains it. What a person asked for stays.
 * @param yields one at work that waits for people, and so makes room as if it waited to begin
 * @returns whether this one was superseded
 */
export async function supersede(
  house: House,
  tx: Tx,
  promotion: Promotion,
  yields: string | null = null,
): Promise<boolean> {
  if (promotion.kind !== 'promotion') return false;
  const others = (await openPromotions(tx, [promotion.environmentId])).filter(
    ({ id, kind, automatic, state }) =>
      id !== promotion.id &&
      kind === 'promotion' &&
      automatic &&
      (state === 'waiting' || state === 'requested' || state === 'evaluating' || id === yields),
  );
  if (others.length === 0) return false;
  const releases = new Map(
    (
      await releaseHeads(
        tx,
        [promotion, ...others].map(({ releaseId }) => releaseId),
      )
    ).map((release) => [release.id, release]),
  );
  const mine = releases.get(promotion.releaseId);
  if (mine === undefined || mine.mixed) return false;
  const mirror = await house.mirrorOf(mine.repositoryId);
  const isBefore = async (one: ReleaseHead, other: ReleaseHead): Promise<boolean> =>
    one.commit === other.commit ? one.edition < other.edition : mirror.isAncestor(one.commit, other.commit);
  for (const other of others) {
    const theirs = releases.get(other.releaseId);
    if (theirs === undefined || theirs.repositoryId !== mine.repositoryId) continue;
    // one that was not looked at yet may still be refused: it takes nobody's place
    if (
      promotion.automatic &&
      other.state === 'waiting' &&
      (await isBefore(mine, theirs)) &&
      (await whyWithdrawn(house, tx, other)) === null
    ) {
      await giveWay(tx, promotion, other);
      return true;
    }
    if (await isBefore(theirs, mine)) await giveWay(tx, other, promotion);
  }
  return false;
}

async function giveWay(tx: Tx, older: Promotion, newer: Promotion): Promise<void> {
  const moved = await movePromotion(tx, older.id, {
    to: 'superseded',
    detail: { by: `promotion ${newer.number}` },
  });
  if (moved === null) return;
  await recordEvent(tx, {
    projectId: older.projectId,
    kind: 'promotion.superseded',
    subject: older.id,
    data: { by: newer.id, environment: older.environmentId },
  });
}
