import { environmentById } from '../environment/environment-store.ts';
import { type Promotion, requestPromotion } from '../path/promotion-store.ts';
import type { Tx } from '../store/database.ts';
import type { House } from './house.ts';

/**
 * A promotion ended while it was at work, and nobody knows how far it came: what ran before is asked for, ahead of
 * everything else. The caller has locked the environment.
 */
export async function putBack(
  { starts }: { readonly starts: Pick<House['starts'], 'promote'> },
  tx: Tx,
  ended: Promotion,
  { by, why }: { readonly by: string; readonly why: string },
): Promise<void> {
  const { currentReleaseId: before } = await environmentById(tx, ended.environmentId);
  // who stops the putting back itself wants it to stop
  if (before === null || before === ended.releaseId) return;
  const back = await requestPromotion(tx, {
    projectId: ended.projectId,
    environmentId: ended.environmentId,
    releaseId: before,
    kind: 'rollback',
    automatic: true,
    requestedBy: by,
    cause: `puts back what ran before promotion ${ended.number}, which ${why}`,
  });
  await starts.promote(tx, back.id);
}
