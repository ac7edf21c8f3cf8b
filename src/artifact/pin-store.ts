import { sql } from 'kysely';

import type { Digest } from '../lib/digest.ts';
import type { Sql } from '../store/database.ts';

/** Outside base images by reference, resolved once; `resolve` is asked only for those that have no pin yet. */
export async function pinsOf(
  db: Sql,
  projectId: string,
  references: readonly string[],
): Promise<Record<string, Digest>> {
  if (references.length === 0) return {};
  const rows = await db
    .selectFrom('base_pin')
    .select(['reference', 'digest'])
    .where('project_id', '=', projectId)
    .where('reference', 'in', [...references])
    .execute();
  return Object.fromEntries(rows.map(({ reference, digest }) => [reference, digest as Digest]));
}

/** The first resolution stays: two builds that resolve at once agree on one digest. */
export async function pinBase(
  db: Sql,
  projectId: string,
  reference: string,
  digest: Digest,
  by: string,
): Promise<Digest> {
  await db
    .insertInto('base_pin')
    .values({ project_id: projectId, reference, digest, pinned_by: by })
    .onConflict((conflict) => conflict.columns(['project_id', 'reference']).doNothing())
    .execute();
  const row = await db
    .selectFrom('base_pin')
    .select('digest')
    .where('project_id', '=', projectId)
    .where('reference', '=', reference)
    .executeTakeFirstOrThrow();
  return row.digest as Digest;
}

/** The pin of an outside base image, as a project has it. */
export interface Pin {
  readonly reference: string;
  readonly digest: Digest;
  readonly by: string;
  readonly since: Date;
  /** When its registry was last asked. */
  readonly askedAt: Date;
  /** The services that the heads of live branches build upon it. */
  readonly services: readonly string[];
}

export async function listPins(db: Sql, projectId: string): Promise<Pin[]> {
  const rows = await db
    .selectFrom('base_pin')
    .selectAll()
    .where('project_id', '=', projectId)
    .orderBy('reference')
    .execute();
  const users = await usersAtHeads(db, projectId, 'pins');
  return rows.map((row) => ({
    reference: row.reference,
    digest: row.digest as Digest,
    by: row.pinned_by,
    since: row.pinned_at,
    askedAt: row.resolved_at,
    services: users.filter(({ name }) => name === row.reference).map(({ service }) => service),
  }));
}

/**
 * The services that the heads of live branches build upon something, by what: the references of outside images (`pins`),
 * or the names of base services (`parents`).
 */
export async function usersAtHeads(
  db: Sql,
  projectId: string,
  kind: 'pins' | 'parents',
): Promise<{ name: string; service: string }[]> {
  const { rows } = await sql<{ name: string; service: string }>`
    select distinct jsonb_object_keys(artifact.inputs -> ${kind}::text) as name, release_service.service
    from repository
      join ref on ref.repository_id = repository.id and ref.deleted_at is null and ref.name like 'refs/heads/%'
      join release on release.repository_id = ref.repository_id and release.commit_sha = ref.commit_sha and not release.mixed
      join release_service on release_service.release_id = release.id
      join artifact on artifact.key = release_service.artifact_key
    where repository.project_id = ${projectId} and repository.left_at is null
    order by 2, 1`.execute(db);
  return rows;
}

/** @returns false when the pin is not (or no longer) what it is said to be: somebody else has moved it */
export async function movePin(
  db: Sql,
  projectId: string,
  { reference, before, after }: { readonly reference: string; readonly before: Digest; readonly after: Digest },
  by: string,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('base_pin')
    .set({ digest: after, pinned_by: by, pinned_at: new Date(), resolved_at: new Date() })
    .where('project_id', '=', projectId)
    .where('reference', '=', reference)
    .where('digest', '=', before)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Their registries were asked, and they mean what they meant. */
export async function recordAsked(db: Sql, projectId: string, references: readonly string[]): Promise<void> {
  if (references.length === 0) return;
  await db
    .updateTable('base_pin')
    .set({ resolved_at: new Date() })
    .where('project_id', '=', projectId)
    .where('reference', 'in', [...references])
    .execute();
}
