import { sql } from 'kysely';

import { type Problem, TowpathError } from '../lib/error.ts';
import { newId } from '../lib/ids.ts';
import { slugOf } from '../lib/slug.ts';
import { json, type Sql } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import { placeName, storedName } from './place.ts';

export class EnvironmentError extends TowpathError {}

/** A node of the path with what runs there. `definition` is parsed by those who know its shape: the path. */
export interface EnvironmentRow {
  readonly id: string;
  readonly projectId: string;
  readonly name: string;
  readonly slug: string;
  readonly position: number;
  readonly previewBranch: string | null;
  /** Whose releases run there. */
  readonly repositoryId: string | null;
  /** What a preview follows and ends with. */
  readonly previewRef: string | null;
  readonly definition: unknown;
  readonly expiresAt: Date | null;
  readonly removedAt: Date | null;
  /** Since when the path does not name it any more. */
  readonly unnamedAt: Date | null;
  /** Since when it is being emptied, because somebody wants it to be. */
  readonly stopAskedAt: Date | null;
  /** Why what should not run there any more could not be ended at the last try. */
  readonly endProblem: Problem | null;
  /** The drivers that may have something there. */
  readonly drivers: readonly string[];
  readonly currentReleaseId: string | null;
  readonly currentPromotionId: string | null;
  readonly currentSince: Date | null;
  readonly hold: Hold | null;
}

export interface Hold {
  readonly reason: string;
  readonly by: string;
  /** ISO 8601. */
  readonly since: string;
}

export interface EnvironmentToSync {
  /** Whose releases run there. */
  readonly repositoryId?: string;
  readonly name: string;
  readonly position: number;
  readonly definition: unknown;
}

/** Puts the environments of a configuration in place. One that is no longer named is marked, and ends when nothing runs in it. */
export async function syncEnvironments(
  db: Sql,
  projectId: string,
  wanted: readonly EnvironmentToSync[],
): Promise<void> {
  for (const { name, position, definition, repositoryId } of wanted) {
    const row = await db
      .insertInto('environment')
      .values({
        id: newId('env'),
        project_id: projectId,
        name,
        slug: slugOf(name),
        position,
        definition: json(definition),
        repository_id: repositoryId ?? null,
      })
      .onConflict((conflict) =>
        conflict
          .columns(['project_id', 'name'])
          .where('removed_at', 'is', null)
          .doUpdateSet({
            position,
            definition: json(definition),
            repository_id: repositoryId ?? null,
            unnamed_at: null,
            expires_at: null,
          }),
      )
      .returning(['id', IS_NEW])
      .executeTakeFirstOrThrow();
    if (row.isNew) await tellOfNew(db, projectId, row.id, name);
  }
  let gone = db
    .updateTable('environment')
    .set({ unnamed_at: new Date() })
    .where('project_id', '=', projectId)
    .where('preview_branch', 'is', null)
    .where('unnamed_at', 'is', null)
    .where('removed_at', 'is', null);
  if (wanted.length > 0)
    gone = gone.where(
      'name',
      'not in',
      wanted.map(({ name }) => name),
    );
  await gone.execute();
}

/** The preview of a branch or a pull request: made when it is not there, its life made longer when it is. */
export async function ensurePreview(
  db: Sql,
  preview: {
    projectId: string;
    repositoryId?: string;
    /** Null, or not given, for the home repository. */
    member?: string | null;
    template: string;
    branch: string;
    ref: string;
    position: number;
    definition: unknown;
    expiresAt: Date;
  },
): Promise<string> {
  const name = placeName(`${preview.template}-${slugOf(preview.branch)}`, preview.member ?? null);
  const row = await db
    .insertInto('environment')
    .values({
      id: newId('env'),
      project_id: preview.projectId,
      name,
      slug: slugOf(name),
      position: preview.position,
      preview_branch: preview.branch,
      repository_id: preview.repositoryId ?? null,
      preview_ref: preview.ref,
      definition: json(preview.definition),
      expires_at: preview.expiresAt,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['project_id', 'name'])
        .where('removed_at', 'is', null)
        .doUpdateSet({
          expires_at: preview.expiresAt,
          definition: json(preview.definition),
          repository_id: preview.repositoryId ?? null,
          preview_ref: preview.ref,
        }),
    )
    .returning(['id', IS_NEW])
    .executeTakeFirstOrThrow();
  if (row.isNew) await tellOfNew(db, preview.projectId, row.id, name);
  return row.id;
}

/** Of a row that an upsert gives back: no transaction has changed one that it has just inserted. */
const IS_NEW = sql<boolean>`xmax = 0`.as('isNew');

async function tellOfNew(db: Sql, projectId: string, id: string, name: string): Promise<void> {
  await recordEvent(db, { projectId, kind: 'environment.created', subject: id, data: { name } });
}

/** In the order of the path; what it does not name any more comes last. */
export async function environmentsOf(db: Sql, projectId: string): Promise<EnvironmentRow[]> {
  const rows = await db
    .selectFrom('environment')
    .selectAll()
    .where('project_id', '=', projectId)
    .where('removed_at', 'is', null)
    .orderBy(sql`unnamed_at is not null`)
    .orderBy('position')
    .orderBy('name')
    .execute();
  return rows.map(rowOf);
}

export async function environmentById(db: Sql, id: string): Promise<EnvironmentRow> {
  return rowOf(await db.selectFrom('environment').selectAll().where('id', '=', id).executeTakeFirstOrThrow());
}

/**
 * The same, and nothing moves in or out until the transaction ends. Everybody locks the environment before any promotion
 * in it, and several environments in the order of their ids.
 */
export async function lockEnvironment(tx: Sql, id: string): Promise<EnvironmentRow> {
  return rowOf(
    await tx.selectFrom('environment').selectAll().where('id', '=', id).forUpdate().executeTakeFirstOrThrow(),
  );
}

/** @throws EnvironmentError `environment.unknown`; a preview is found by its branch too */
export async function environmentNamed(db: Sql, projectId: string, name: string): Promise<EnvironmentRow> {
  const row = await db
    .selectFrom('environment')
    .selectAll()
    .where('project_id', '=', projectId)
    .where('removed_at', 'is', null)
    .where((eb) => eb.or([eb('name', 'in', [name, storedName(name)]), eb('preview_branch', '=', name)]))
    .orderBy('preview_branch', (order) => order.asc().nullsFirst())
    .orderBy('name')
    .executeTakeFirst();
  if (row !== undefined) return rowOf(row);
  const known = (await environmentsOf(db, projectId)).map((environment) => environment.name).join(', ');
  throw new EnvironmentError({
    code: 'environment.unknown',
    what: `There is no environment "${name}" in this project.`,
    fix:
      known === ''
        ? 'The default branch has no towpath.yaml that could be read: `towpath project list` says why.'
        : `Name one of: ${known}.`,
  });
}

export async function setHold(db: Sql, environmentId: string, hold: Hold): Promise<void> {
  await db
    .updateTable('environment')
    .set({ hold: json(hold) })
    .where('id', '=', environmentId)
    .execute();
}

export async function clearHold(db: Sql, environmentId: string): Promise<boolean> {
  const done = await db
    .updateTable('environment')
    .set({ hold: null })
    .where('id', '=', environmentId)
    .where('hold', 'is not', null)
    .executeTakeFirst();
  return done.numUpdatedRows > 0n;
}

function rowOf(row: {
  id: string;
  project_id: string;
  name: string;
  slug: string;
  position: number;
  preview_branch: string | null;
  repository_id: string | null;
  preview_ref: string | null;
  definition: unknown;
  expires_at: Date | null;
  removed_at: Date | null;
  unnamed_at: Date | null;
  stop_asked_at: Date | null;
  end_problem: unknown;
  drivers: string[];
  current_release_id: string | null;
  current_promotion_id: string | null;
  current_since: Date | null;
  hold: unknown;
}): EnvironmentRow {
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    slug: row.slug,
    position: row.position,
    previewBranch: row.preview_branch,
    repositoryId: row.repository_id,
    previewRef: row.preview_ref,
    definition: row.definition,
    expiresAt: row.expires_at,
    removedAt: row.removed_at,
    unnamedAt: row.unnamed_at,
    stopAskedAt: row.stop_asked_at,
    endProblem: row.end_problem as Problem | null,
    drivers: row.drivers,
    currentReleaseId: row.current_release_id,
    currentPromotionId: row.current_promotion_id,
    currentSince: row.current_since,
    hold: row.hold as Hold | null,
  };
}
