import { sql } from 'kysely';

import { type Digest, sha256 } from '../lib/digest.ts';
import type { Sql } from '../store/database.ts';
import type { KeptFiles } from './kept-files.ts';

const SLICE_BYTES = 1024 * 1024;

/** Keeps bytes until `forgetContent` finds that no evidence has them. Safe to repeat. */
export async function storeContent(db: Sql, bytes: Buffer): Promise<Digest> {
  const digest = sha256(bytes);
  await db
    .insertInto('kept_content')
    .values({ digest, bytes })
    .onConflict((conflict) => conflict.column('digest').doUpdateSet({ at: sql`clock_timestamp()` }))
    .execute();
  return digest;
}

/** Says whose the contents are. Safe to repeat. */
export async function recordKept(db: Sql, evidenceId: string, { files }: KeptFiles): Promise<void> {
  const digests = [...new Set(files.map(({ digest }) => digest))];
  if (digests.length === 0) return;
  await db
    .insertInto('kept_file')
    .values(digests.map((digest) => ({ evidence_id: evidenceId, digest })))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Those contents of evidence that are still kept. */
export async function keptOf(db: Sql, evidenceId: string): Promise<ReadonlySet<string>> {
  const rows = await db.selectFrom('kept_file').select('digest').where('evidence_id', '=', evidenceId).execute();
  return new Set(rows.map(({ digest }) => digest));
}

/** The bytes of a content, slice by slice. It may go meanwhile: then they end early. */
export async function* readContent(db: Sql, digest: Digest): AsyncGenerator<Buffer> {
  for (let at = 1; ; at += SLICE_BYTES) {
    const row = await db
      .selectFrom('kept_content')
      .select(sql<Buffer>`substring(bytes from ${at}::int for ${SLICE_BYTES}::int)`.as('slice'))
      .where('digest', '=', digest)
      .executeTakeFirst();
    if (row === undefined || row.slice.length === 0) return;
    yield row.slice;
  }
}

/**
 * Removes contents that no evidence has and no run gave since `before`: those of runs that were killed, and those whose
 * evidence keeps them no more.
 */
export async function forgetContent(db: Sql, before: Date): Promise<number> {
  const { numAffectedRows = 0n } = await sql`
    delete from kept_content where at < ${before}
      and not exists (select from kept_file where kept_file.digest = kept_content.digest)`.execute(db);
  return Number(numAffectedRows);
}
