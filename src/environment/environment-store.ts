import { sql } from 'kysely';

import type { Digest } from '../lib/digest.ts';
import { TowpathError } from '../lib/error.ts';
import { newId } from '../lib/ids.ts';
import { slugOf } from '../lib/slug.ts';
import type { Sql } from '../store/database.ts';

export class EnvironmentError extends TowpathError {}

/** A node of the path with what runs there. `definition` is parsed by those who know its shape: the path. */
export interface EnvironmentRow {
  readonly id: string;
  readonly projectId: string;
  readonly name: string;
  readonly slug: string;
  readonly position: number;
  readonly previewBranch: string | null;
  readonly definition: unknown;
  readonly expiresAt: Date | null;
  readonly removedAt: Date | null;
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
  readonly name: string;
  readonly position: number;
  readonly definition: unknown;
}

/** Puts the environments of a configuration in place. One that is no longer named is kept while something runs in it. */
export async function syncEnvironments(
  db: Sql,
  projectId: string,
  wanted: readonly EnvironmentToSync[],
): Promise<void> {
  for (const { name, position, definition } of wanted) {
    await db
      .insertInto('environment')
      .values({
        id: newId('env'),
        project_id: projectId,
        name,
        slug: slugOf(name),
        position,
        definition: JSON.stringify(definition),
      })
      .onConflict((conflict) =>
        conflict
          .columns(['project_id', 'name'])
          .where('removed_at', 'is', null)
          .doUpdateSet({ position, definition: JSON.stringify(definition) }),
      )
      .execute();
  }
  let gone = db
    .updateTable('environment')
    .set({ removed_at: new Date() })
    .where('project_id', '=', projectId)
    .where('preview_branch', 'is', null)
    .where('current_release_id', 'is', null)
    .where('removed_at', 'is', null);
  if (wanted.length > 0)
    gone = gone.where(
      'name',
      'not in',
      wanted.map(({ name }) => name),
    );
  await gone.execute();
}

/** The preview of a branch: made when it is not there, its life made longer when it is. */
export async function ensurePreview(
  db: Sql,
  preview: {
    projectId: string;
    template: string;
    branch: string;
    position: number;
    definition: unknown;
    expiresAt: Date;
  },
): Promise<string> {
  const name = `${preview.template}-${slugOf(preview.branch)}`;
  const row = await db
    .insertInto('environment')
    .values({
      id: newId('env'),
      project_id: preview.projectId,
      name,
      slug: slugOf(name),
      position: preview.position,
      preview_branch: preview.branch,
      definition: JSON.stringify(preview.definition),
      expires_at: preview.expiresAt,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['project_id', 'name'])
        .where('removed_at', 'is', null)
        .doUpdateSet({ expires_at: preview.expiresAt, definition: JSON.stringify(preview.definition) }),
    )
    .returning('id')
    .executeTakeFirstOrThrow();
  return row.id;
}

export async function environmentsOf(db: Sql, projectId: string): Promise<EnvironmentRow[]> {
  const rows = await db
    .selectFrom('environment')
    .selectAll()
    .where('project_id', '=', projectId)
    .where('removed_at', 'is', null)
    .orderBy('position')
    .orderBy('name')
    .execute();
  return rows.map(rowOf);
}

export async function environmentById(db: Sql, id: string): Promise<EnvironmentRow> {
  return rowOf(await db.selectFrom('environment').selectAll().where('id', '=', id).executeTakeFirstOrThrow());
}

/** @throws EnvironmentError `environment.unknown`; a preview is found by its branch too */
export async function environmentNamed(db: Sql, projectId: string, name: string): Promise<EnvironmentRow> {
  const row = await db
    .selectFrom('environment')
    .selectAll()
    .where('project_id', '=', projectId)
    .where('removed_at', 'is', null)
    .where((eb) => eb.or([eb('name', '=', name), eb('preview_branch', '=', name)]))
    .orderBy('preview_branch', (order) => order.asc().nullsFirst())
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
    .set({ hold: JSON.stringify(hold) })
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

export interface LiveRecord {
  readonly environmentId: string;
  readonly releaseId: string;
  readonly promotionId: string;
  readonly services: readonly { readonly service: string; readonly digest: Digest; readonly url: string | null }[];
}

/** Writes down what runs now: the present release, its deployments, and the turn of tenures. Safe to repeat. */
export async function recordLive(db: Sql, live: LiveRecord): Promise<void> {
  const now = new Date();
  await db
    .updateTable('tenure')
    .set({ ended_at: now })
    .where('environment_id', '=', live.environmentId)
    .where('ended_at', 'is', null)
    .where('promotion_id', '<>', live.promotionId)
    .execute();
  await db
    .insertInto('tenure')
    .values({
      promotion_id: live.promotionId,
      environment_id: live.environmentId,
      release_id: live.releaseId,
      began_at: now,
    })
    .onConflict((conflict) => conflict.column('promotion_id').doNothing())
    .execute();
  await db
    .updateTable('environment')
    .set({ current_release_id: live.releaseId, current_promotion_id: live.promotionId, current_since: now })
    .where('id', '=', live.environmentId)
    .execute();
  await db
    .deleteFrom('deployment')
    .where('environment_id', '=', live.environmentId)
    .where('service', 'not in', live.services.length === 0 ? [''] : live.services.map(({ service }) => service))
    .execute();
  for (const { service, digest, url } of live.services) {
    await db
      .insertInto('deployment')
      .values({
        environment_id: live.environmentId,
        service,
        release_id: live.releaseId,
        promotion_id: live.promotionId,
        digest,
        url,
        since: now,
      })
      .onConflict((conflict) =>
        conflict.columns(['environment_id', 'service']).doUpdateSet((eb) => ({
          release_id: live.releaseId,
          promotion_id: live.promotionId,
          digest,
          url,
          // the same digest goes on running: its age goes on too
          since: sql<Date>`case when ${eb.ref('deployment.digest')} = ${digest} then ${eb.ref('deployment.since')} else ${now} end`,
        })),
      )
      .execute();
  }
}

export interface Tenure {
  readonly promotionId: string;
  readonly releaseId: string;
  readonly fingerprint: string;
  readonly yanked: boolean;
  readonly beganAt: Date;
  readonly endedAt: Date | null;
}

/** The newest first. */
export async function tenuresOf(db: Sql, environmentId: string, limit: number): Promise<Tenure[]> {
  const rows = await db
    .selectFrom('tenure')
    .innerJoin('release', 'release.id', 'tenure.release_id')
    .select([
      'tenure.promotion_id',
      'tenure.release_id',
      'release.fingerprint',
      'release.yanked_at',
      'tenure.began_at',
      'tenure.ended_at',
    ])
    .where('tenure.environment_id', '=', environmentId)
    .orderBy('tenure.began_at', 'desc')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    promotionId: row.promotion_id,
    releaseId: row.release_id,
    fingerprint: row.fingerprint,
    yanked: row.yanked_at !== null,
    beganAt: row.began_at,
    endedAt: row.ended_at,
  }));
}

/** For how long artifacts of this fingerprint ran in an environment, added up; null when they never did. */
export async function ranFor(
  db: Sql,
  environmentId: string,
  fingerprint: string,
): Promise<{ ranMs: number; runsNow: boolean } | null> {
  const row = await db
    .selectFrom('tenure')
    .innerJoin('release', 'release.id', 'tenure.release_id')
    .select([
      sql<
        number | null
      >`extract(epoch from sum(coalesce(tenure.ended_at, clock_timestamp()) - tenure.began_at)) * 1000`.as('ran'),
      sql<boolean | null>`bool_or(tenure.ended_at is null)`.as('now'),
    ])
    .where('tenure.environment_id', '=', environmentId)
    .where('release.fingerprint', '=', fingerprint)
    .executeTakeFirst();
  return row === undefined || row.ran === null ? null : { ranMs: Math.floor(row.ran), runsNow: row.now === true };
}

/**
 * Stable ports for the services of an environment: given once, kept as long as it lives. The lowest is taken that no
 * other environment has and that nobody else on this machine listens on (another installation, say).
 */
export async function endpointsFor(
  db: Sql,
  environmentId: string,
  services: readonly string[],
  { firstPort, isFree }: { readonly firstPort: number; readonly isFree: (port: number) => Promise<boolean> },
): Promise<Record<string, number>> {
  const portsNow = async (): Promise<Record<string, number>> => {
    const rows = await db
      .selectFrom('endpoint')
      .select(['service', 'port'])
      .where('environment_id', '=', environmentId)
      .execute();
    return Object.fromEntries(rows.map(({ service, port }) => [service, port]));
  };
  const given = await portsNow();
  let candidate = firstPort;
  for (const service of services.filter((name) => given[name] === undefined)) {
    for (; candidate < firstPort + PORTS; candidate++) {
      if (!(await isFree(candidate))) continue;
      const taken = await db
        .insertInto('endpoint')
        .values({ environment_id: environmentId, service, port: candidate })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst();
      if (taken.numInsertedOrUpdatedRows === 1n) break;
    }
  }
  const ports = await portsNow();
  const without = services.find((service) => ports[service] === undefined);
  if (without === undefined) return ports;
  throw new EnvironmentError({
    code: 'environment.no-port',
    what: `No port from ${firstPort} to ${firstPort + PORTS - 1} is free for "${without}".`,
    fix: 'Remove previews that are no longer needed, or start the server with another TOWPATH_FIRST_PORT.',
  });
}

const PORTS = 900;

/** Previews whose life is over, or whose branch is gone. */
export async function deadPreviews(db: Sql): Promise<string[]> {
  const rows = await db
    .selectFrom('environment')
    .innerJoin('project', 'project.id', 'environment.project_id')
    .select('environment.id')
    .where('environment.removed_at', 'is', null)
    .where('environment.preview_branch', 'is not', null)
    .where((eb) =>
      eb.or([
        eb('environment.expires_at', '<', new Date()),
        eb.not(
          eb.exists(
            eb
              .selectFrom('ref')
              .innerJoin('repository', 'repository.id', 'ref.repository_id')
              .select('ref.name')
              .whereRef('repository.project_id', '=', 'environment.project_id')
              .where('ref.deleted_at', 'is', null)
              .where(sql<boolean>`ref.name = 'refs/heads/' || environment.preview_branch`),
          ),
        ),
      ]),
    )
    .execute();
  return rows.map(({ id }) => id);
}

/** The wish that a preview ends, as a row: whatever becomes of the first try, it counts until the preview is gone. */
export async function endPreview(db: Sql, environmentId: string): Promise<void> {
  await db
    .updateTable('environment')
    .set({ expires_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', environmentId)
    .execute();
}

/** Marks an environment as gone and gives its ports back. Safe to repeat. */
export async function recordRemoved(db: Sql, environmentId: string): Promise<void> {
  const now = new Date();
  await db
    .updateTable('tenure')
    .set({ ended_at: now })
    .where('environment_id', '=', environmentId)
    .where('ended_at', 'is', null)
    .execute();
  await db.deleteFrom('deployment').where('environment_id', '=', environmentId).execute();
  await db.deleteFrom('endpoint').where('environment_id', '=', environmentId).execute();
  await db
    .updateTable('environment')
    .set({ removed_at: now, current_release_id: null, current_promotion_id: null, current_since: null })
    .where('id', '=', environmentId)
    .where('removed_at', 'is', null)
    .execute();
}

function rowOf(row: {
  id: string;
  project_id: string;
  name: string;
  slug: string;
  position: number;
  preview_branch: string | null;
  definition: unknown;
  expires_at: Date | null;
  removed_at: Date | null;
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
    definition: row.definition,
    expiresAt: row.expires_at,
    removedAt: row.removed_at,
    currentReleaseId: row.current_release_id,
    currentPromotionId: row.current_promotion_id,
    currentSince: row.current_since,
    hold: row.hold as Hold | null,
  };
}
