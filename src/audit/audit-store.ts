import { newId } from '../lib/ids.ts';
import { json } from '../store/database.ts';
import type { Sql } from '../store/database.ts';

/** Who did what to what. */
export interface AuditEntry {
  /** A user's name, or `towpath` for what the system does by itself. */
  readonly actor: string;
  /** `promotion.approve` */
  readonly action: string;
  readonly subject: string;
  /** Without secrets. */
  readonly detail?: Readonly<Record<string, unknown>>;
}

export interface StoredAuditEntry extends Required<AuditEntry> {
  readonly id: string;
  readonly at: Date;
}

export interface AuditPage {
  readonly entries: readonly StoredAuditEntry[];
  /** Give it back to read on; null at the end. */
  readonly next: string | null;
}

/** In the transaction of the deed: both are there, or neither. Postgres itself refuses to change or delete an entry. */
export async function recordAudit(
  db: Sql,
  { actor, action, subject, detail = {} }: AuditEntry,
  id: string = newId('aud'),
): Promise<void> {
  await db
    .insertInto('audit')
    .values({ id, actor, action, subject, detail: json(detail) })
    .execute();
}

/** The newest first. @param subjects ids, at least one; @param cursor the `next` of the page before */
export async function listAudit(
  db: Sql,
  {
    subjects,
    limit,
    cursor,
  }: { readonly subjects?: readonly string[]; readonly limit: number; readonly cursor?: string },
): Promise<AuditPage> {
  let query = db
    .selectFrom('audit')
    .selectAll()
    .orderBy('id', 'desc')
    .limit(limit + 1);
  if (subjects !== undefined) query = query.where('subject', 'in', [...subjects]);
  if (cursor !== undefined) query = query.where('id', '<', cursor);
  const rows = await query.execute();
  const entries = rows.slice(0, limit).map((row) => ({
    id: row.id,
    at: row.at,
    actor: row.actor,
    action: row.action,
    subject: row.subject,
    detail: row.detail as Readonly<Record<string, unknown>>, // written by `recordAudit` alone
  }));
  return { entries, next: rows.length > limit ? (entries.at(-1)?.id ?? null) : null };
}
