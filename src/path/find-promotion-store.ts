import { sql } from 'kysely';

import { TowpathError } from '../lib/error.ts';
import type { Sql } from '../store/database.ts';
import { type Promotion, promotionById } from './promotion-store.ts';

/** `promotion 12`, as every sentence about a promotion calls it; or its id, or how that begins. */
const NUMBERED = /^promotion #?(\d{1,9})$/;
const IDENTIFIED = /^pro_[0-9a-z]+$/;

/**
 * @param projectId one project's promotions alone; numbers and ids are counted over the installation
 * @throws TowpathError `promotion.ambiguous` when several ids begin so
 */
export async function findPromotion(db: Sql, word: string, projectId?: string): Promise<Promotion | null> {
  const promotion = await promotionById(db, (await idOf(db, word)) ?? '');
  return promotion === null || (projectId !== undefined && promotion.projectId !== projectId) ? null : promotion;
}

async function idOf(db: Sql, word: string): Promise<string | null> {
  const promotions = db.selectFrom('promotion').select('id').limit(2);
  const number = NUMBERED.exec(word)?.[1];
  if (number !== undefined)
    return (await promotions.where('number', '=', Number(number)).executeTakeFirst())?.id ?? null;
  if (!IDENTIFIED.test(word)) return null;
  const exact = await promotions.where('id', '=', word).executeTakeFirst();
  if (exact !== undefined) return exact.id;
  const [first, second] = await promotions.where(sql<boolean>`starts_with(id, ${word})`).execute();
  if (second === undefined) return first?.id ?? null;
  throw new TowpathError({
    code: 'promotion.ambiguous',
    what: `"${word}" begins the ids of several promotions.`,
    fix: 'Give more of the id.',
  });
}
