import { z } from 'zod';

import { json, type Sql } from '../../store/database.ts';

/** Where a target runs, as it was last deployed. References only: no kubeconfig, no secret. */
const KnownPlace = z.object({
  context: z.string().nullable(),
  kubeconfig: z.string().nullable(),
  namespace: z.string(),
  ownsNamespace: z.boolean(),
});
export type KnownPlace = z.infer<typeof KnownPlace>;

/** What tells where a target runs when nobody names its settings: to look at it, and to end it. */
export async function rememberPlace(db: Sql, target: string, place: KnownPlace): Promise<void> {
  await db
    .insertInto('cluster_target')
    .values({ target, place: json(place) })
    .onConflict((conflict) => conflict.column('target').doUpdateSet({ place: json(place) }))
    .execute();
}

/** @returns null when nothing was ever deployed there, or it was taken down */
export async function knownPlace(db: Sql, target: string): Promise<KnownPlace | null> {
  const row = await db.selectFrom('cluster_target').select('place').where('target', '=', target).executeTakeFirst();
  return row === undefined ? null : KnownPlace.parse(row.place);
}

export async function forgetPlace(db: Sql, target: string): Promise<void> {
  await db.deleteFrom('cluster_target').where('target', '=', target).execute();
}
