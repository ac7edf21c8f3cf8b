import type { Problem } from '../lib/error.ts';
import { lockPromotion, movePromotion, type Promotion } from '../path/promotion-store.ts';
import { isNews, type PromotionDetail } from '../path/promotion.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import { stateDecision } from './statements/state.ts';

/** Moves a promotion and tells of it, if it is news. @returns null when it may not move: it ended meanwhile, or the mover is late */
export async function move(
  tx: Tx,
  promotionId: string,
  to: Parameters<typeof movePromotion>[2],
): Promise<Promotion | null> {
  const before = await lockPromotion(tx, promotionId);
  const promotion = await movePromotion(tx, promotionId, to);
  if (promotion !== null && (before === null || isNews(before, promotion))) {
    await stateDecision(tx, promotion);
    await tell(tx, promotion, `promotion.${promotion.state}`, { detail: to.detail ?? {} });
  }
  return promotion;
}

/** An event about a promotion, for those who follow them. */
export async function tell(
  tx: Tx,
  promotion: Promotion,
  kind: string,
  data: { detail?: PromotionDetail; problem?: Problem } & Record<string, unknown>,
): Promise<void> {
  await recordEvent(tx, {
    projectId: promotion.projectId,
    kind,
    subject: promotion.id,
    data: { ...data, environment: promotion.environmentId, release: promotion.releaseId },
  });
}
