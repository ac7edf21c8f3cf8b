import { promotionById } from '../path/promotion-store.ts';
import type { House } from './house.ts';

/**
 * Whoever ended a promotion has its run told so; that word may be lost with a server. Who waits for the lane says it again,
 * so that work which nobody wants any more keeps nobody out.
 * @param holder of the lane
 */
export async function stopIfEnded({ store, starts }: House, holder: string): Promise<void> {
  const promotion = await promotionById(store.db, holder);
  if (promotion !== null && promotion.endedAt !== null) await starts.cancelPromotion(promotion.id, promotion.runs);
}
