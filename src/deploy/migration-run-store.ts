import { z } from 'zod';

import { json, type Sql } from '../store/database.ts';
import type { JobEnd } from './driver.ts';

const Outcome: z.ZodType<JobEnd> = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('exited'), code: z.int() }),
  z.strictObject({ kind: z.literal('timed-out') }),
  z.strictObject({ kind: z.literal('out-of-memory') }),
  z.strictObject({ kind: z.literal('killed'), signal: z.string() }),
  z.strictObject({ kind: z.literal('lost') }),
]);

export interface MigrationRun {
  readonly promotionId: string;
  readonly service: string;
}

/** @returns null before it has begun; without an outcome it is under way, or was when its server ended */
export async function migrationRun(
  db: Sql,
  { promotionId, service }: MigrationRun,
): Promise<{ readonly outcome: JobEnd | null } | null> {
  const row = await db
    .selectFrom('migration_run')
    .select('outcome')
    .where('promotion_id', '=', promotionId)
    .where('service', '=', service)
    .executeTakeFirst();
  return row === undefined ? null : { outcome: row.outcome === null ? null : Outcome.parse(row.outcome) };
}

/** Before it is started. @returns false when somebody has said so before */
export async function recordMigrationBegun(db: Sql, { promotionId, service }: MigrationRun): Promise<boolean> {
  const inserted = await db
    .insertInto('migration_run')
    .values({ promotion_id: promotionId, service })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return (inserted.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/** The first that is told stands. */
export async function recordMigrationEnded(
  db: Sql,
  { promotionId, service }: MigrationRun,
  outcome: JobEnd,
): Promise<void> {
  await db
    .updateTable('migration_run')
    .set({ outcome: json(outcome) })
    .where('promotion_id', '=', promotionId)
    .where('service', '=', service)
    .where('outcome', 'is', null)
    .execute();
}
