import { sql } from 'kysely';
import { z } from 'zod';

import { json, type Sql } from '../../store/database.ts';
import { fenced } from '../deploy-error.ts';
import { ImagePlaceSchema } from './image-place.ts';
import { SuccessSchema } from './success.ts';
import { ManifestRepository } from './write-request.ts';

/** Where the images of a target stand, as it was last deployed. */
const TargetPlace = z.object({
  repository: ManifestRepository,
  /** Empty: the default branch. */
  branch: z.string(),
  services: z.record(z.string(), z.array(ImagePlaceSchema)),
  success: SuccessSchema.default('commit'),
  /** Where a pull request brings it there: what that is opened with, and which one is waited for. */
  request: z.object({ credential: z.string().nullable(), waitsFor: z.string().nullable() }).nullable().default(null),
});
export type TargetPlace = z.infer<typeof TargetPlace>;

export interface KnownTarget extends TargetPlace {
  readonly operation: string;
}

/**
 * Remembers the place, unless a newer hand works on the target.
 * @returns what was remembered before
 * @throws DeployError `deploy.fenced`
 */
export async function claimTarget(
  db: Sql,
  { target, name, token }: { readonly target: string; readonly name: string; readonly token: bigint },
  operation: string,
  place: TargetPlace,
): Promise<KnownTarget | null> {
  const { rows } = await sql<{ operation: string | null; place: unknown }>`
    with before as (select operation, place from manifest_target where target = ${target})
    insert into manifest_target (target, token, operation, place)
    values (${target}, ${token.toString()}, ${operation}, ${json(place)}::jsonb)
    on conflict (target) do update set token = excluded.token, operation = excluded.operation, place = excluded.place
      where manifest_target.token <= excluded.token
    returning (select operation from before), (select place from before)`.execute(db);
  const [before] = rows;
  if (before === undefined) {
    await refuse(db, target, name, token);
    return null;
  }
  return before.operation === null ? null : { ...TargetPlace.parse(before.place), operation: before.operation };
}

/** @returns null when nothing was ever deployed there, or it was taken down */
export async function knownTarget(db: Sql, target: string): Promise<KnownTarget | null> {
  const row = await db
    .selectFrom('manifest_target')
    .select(['operation', 'place'])
    .where('target', '=', target)
    .executeTakeFirst();
  return row === undefined ? null : { ...TargetPlace.parse(row.place), operation: row.operation };
}

/** Says what is waited for, or that nothing is; a newer operation has its own. */
export async function rememberWait(db: Sql, target: string, operation: string, what: string | null): Promise<void> {
  await sql`update manifest_target set place = jsonb_set(place, '{request,waitsFor}', ${json(what)}::jsonb)
    where target = ${target} and operation = ${operation}`.execute(db);
}

/** @throws DeployError `deploy.fenced` */
export async function forgetTarget(db: Sql, target: string, name: string, token: bigint): Promise<void> {
  const { numDeletedRows } = await db
    .deleteFrom('manifest_target')
    .where('target', '=', target)
    .where('token', '<=', sql<number>`${token}`)
    .executeTakeFirst();
  if (numDeletedRows === 0n) await refuse(db, target, name, token);
}

async function refuse(db: Sql, target: string, name: string, token: bigint): Promise<void> {
  const row = await db.selectFrom('manifest_target').select('token').where('target', '=', target).executeTakeFirst();
  if (row !== undefined) throw fenced(name, token, BigInt(row.token));
}
