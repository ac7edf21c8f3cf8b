import { sql } from 'kysely';

import { pullNumber } from '../git/ref.ts';
import { lockEnvironment } from '../environment/environment-store.ts';
import { openPromotions } from '../path/promotion-list-store.ts';
import type { Promotion } from '../path/promotion-store.ts';
import { pullName } from '../path/triggers.ts';
import { isWorking, type Reason } from '../path/promotion.ts';
import { requireHead } from '../release/release-store.ts';
import type { Sql, Tx } from '../store/database.ts';
import type { House } from './house.ts';
import { move } from './move.ts';

/** A ref was deleted or moved: what came by it and still waits is cancelled, unless another ref asks for it as well. */
export async function withdraw(house: House, tx: Tx, repositoryId: string, ref: string): Promise<void> {
  for (const environmentId of await environmentsAskedBy(tx, repositoryId, ref)) {
    await lockEnvironment(tx, environmentId);
    for (const promotion of await openPromotions(tx, [environmentId])) {
      if (!promotion.refs.includes(ref) || isWorking(promotion.state)) continue;
      const reasons = await whyWithdrawn(house, tx, promotion);
      if (reasons !== null) await move(tx, promotion.id, { to: 'cancelled', detail: { reasons } });
    }
  }
}

/**
 * What became of the refs that asked for a promotion. A tag asks for the commit that it names, a branch for all that it
 * holds. What a person asked for needs no ref.
 * @returns null while one of them still asks for it
 */
export async function whyWithdrawn(
  house: House,
  db: Sql,
  { automatic, releaseId, refs }: Promotion,
): Promise<readonly Reason[] | null> {
  if (!automatic || refs.length === 0) return null;
  const { repositoryId, commit } = await requireHead(db, releaseId);
  const rows = await db
    .selectFrom('ref')
    .select(['name', 'commit_sha'])
    .where('repository_id', '=', repositoryId)
    .where('name', 'in', [...refs])
    .where('deleted_at', 'is', null)
    .execute();
  const reasons: Reason[] = [];
  for (const ref of refs) {
    const now = rows.find(({ name }) => name === ref)?.commit_sha ?? null;
    if (now !== null && (now === commit || (await holds(house, repositoryId, ref, now, commit)))) return null;
    reasons.push({ gate: 'ref', what: whatBecameOf(ref, now), fix: 'Push it again, or promote the release by hand.' });
  }
  return reasons;
}

async function holds(house: House, repositoryId: string, ref: string, head: string, commit: string): Promise<boolean> {
  if (!ref.startsWith('refs/heads/')) return false;
  return (await house.mirrorOf(repositoryId)).isAncestor(commit, head);
}

function whatBecameOf(ref: string, now: string | null): string {
  const pull = pullNumber(ref);
  const name =
    pull === null ? ref.replace(/^refs\/heads\//, 'branch ').replace(/^refs\/tags\//, 'tag ') : pullName(pull);
  if (now === null) return `The ${name} was deleted.`;
  if (ref.startsWith('refs/tags/')) return `The ${name} was moved to ${now.slice(0, 7)}.`;
  return `The ${name} was rewritten and no longer holds it.`;
}

/** In the order of their ids, in which everybody locks several. */
async function environmentsAskedBy(db: Sql, repositoryId: string, ref: string): Promise<string[]> {
  const rows = await db
    .selectFrom('promotion')
    .innerJoin('release', 'release.id', 'promotion.release_id')
    .select('promotion.environment_id')
    .distinct()
    .where('promotion.refs', '@>', sql<string[]>`array[${ref}]`)
    .where('promotion.ended_at', 'is', null)
    .where('release.repository_id', '=', repositoryId)
    .orderBy('promotion.environment_id')
    .execute();
  return rows.map((row) => row.environment_id);
}
