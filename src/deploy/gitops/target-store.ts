import { sql } from 'kysely';
import { z } from 'zod';

import { together } from '../../lib/together.ts';
import { isTransient, json, type Sql } from '../../store/database.ts';
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

/** An operation that is to work on a target. */
export interface Claim {
  readonly target: string;
  readonly name: string;
  readonly token: bigint;
  readonly operation: string;
  readonly place: TargetPlace;
}

/**
 * Remembers the place of a target, unless a newer hand works on it; those of one moment in one statement.
 * @returns what was remembered before, or throws DeployError `deploy.fenced`
 */
export function createClaims(db: Sql): (claim: Claim) => Promise<KnownTarget | null> {
  const claimed = together(
    (claims: readonly Claim[]) => claimAll(db, claims),
    ({ target }) => target,
    isTransient,
  );
  return async (claim) => {
    const row = await claimed(claim);
    if (row === undefined) await refuse(db, claim.target, claim.name, claim.token);
    const { operation = null, place } = row ?? {};
    return operation === null ? null : { ...TargetPlace.parse(place), operation };
  };
}

interface Before {
  readonly target: string;
  /** Null where there was nothing. */
  readonly operation: string | null;
  readonly place: unknown;
}

/** @returns for each what was there before; undefined where a newer hand works on it */
async function claimAll(db: Sql, claims: readonly Claim[]): Promise<readonly (Before | undefined)[]> {
  const asked = claims.map((claim) => ({ ...claim, token: claim.token.toString() }));
  const { rows } = await sql<Before>`
    with ask as materialized (
      select * from jsonb_to_recordset(${json(asked)}::jsonb) as a (target text, token bigint, operation text, place jsonb)
      order by target),
    before as (select target, operation, place from manifest_target where target in (select target from ask)),
    mine as (
      insert into manifest_target (target, token, operation, place) select target, token, operation, place from ask
      on conflict (target) do update set token = excluded.token, operation = excluded.operation, place = excluded.place
        where manifest_target.token <= excluded.token
      returning target)
    select target, before.operation, before.place from mine left join before using (target)`.execute(db);
  const mine = new Map(rows.map((row) => [row.target, row]));
  return claims.map(({ target }) => mine.get(target));
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
