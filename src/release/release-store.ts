import { sql } from 'kysely';

import { pullNumber } from '../git/ref.ts';
import type { Digest } from '../lib/digest.ts';
import type { Problem } from '../lib/error.ts';
import { groupBy } from '../lib/group.ts';
import { json, type Sql } from '../store/database.ts';
import { type Release, type ReleaseHead, type ReleaseService, stateOf } from './release.ts';
import { twinKey, yanksOf } from './yank-store.ts';

/** A release is known by every branch and tag that pointed at its commit. */
export async function nameRelease(db: Sql, releaseId: string, ref: string): Promise<void> {
  await db
    .insertInto('release_name')
    .values({ release_id: releaseId, ref })
    .onConflict((conflict) => conflict.columns(['release_id', 'ref']).doUpdateSet({ named_at: new Date() }))
    .execute();
}

/** Whether it got that name, or got it again, since then. */
export async function isNamedSince(db: Sql, releaseId: string, ref: string, sinceMs: number): Promise<boolean> {
  const row = await db
    .selectFrom('release_name')
    .select('ref')
    .where('release_id', '=', releaseId)
    .where('ref', '=', ref)
    .where('named_at', '>=', new Date(sinceMs))
    .executeTakeFirst();
  return row !== undefined;
}

/** Whether a commit is known by pull requests of forks, and by no branch or tag. */
export async function isOfPullsAlone(db: Sql, repositoryId: string, commit: string): Promise<boolean> {
  const rows = await db
    .selectFrom('release_name')
    .innerJoin('release', 'release.id', 'release_name.release_id')
    .select('release_name.ref')
    .where('release.repository_id', '=', repositoryId)
    .where('release.commit_sha', '=', commit)
    .execute();
  return rows.length > 0 && rows.every(({ ref }) => pullNumber(ref) !== null);
}

/**
 * Looks at the artifacts of a release that is being built: all there makes it ready, one that failed makes it failed.
 * @returns the state it moved to, or null when nothing changed
 */
export async function settleRelease(db: Sql, releaseId: string): Promise<'ready' | 'failed' | 'building' | null> {
  const release = await db
    .selectFrom('release')
    .select(['state', 'commit_sha', 'problem'])
    .where('id', '=', releaseId)
    .forUpdate()
    .executeTakeFirst();
  if (release === undefined) return null;
  const parts = await db
    .selectFrom('release_service')
    .innerJoin('artifact', 'artifact.key', 'release_service.artifact_key')
    .select(['release_service.service', 'artifact.state', 'artifact.problem', isBase()])
    .where('release_id', '=', releaseId)
    .orderBy('release_service.service')
    .execute();
  if (parts.length === 0) return null; // its configuration could not be read: it failed when it was cut
  const { state: next, problem } = stateOf(
    parts.map((part) => ({ ...part, isBase: part.is_base, problem: part.problem as Problem | null })),
  );
  if (next === release.state) return null;
  await db
    .updateTable('release')
    .set({
      state: next,
      problem: problem === null ? null : json(problem),
      ready_at: next === 'ready' ? new Date() : null,
    })
    .where('id', '=', releaseId)
    .execute();
  return next;
}

function isBase() {
  return sql<boolean>`coalesce(artifact.kind = 'base', false)`.as('is_base');
}

/** No promotion, tenure or name of a release with one of the artifacts begins until the end of the transaction. */
export async function lockReleasesOf(db: Sql, keys: readonly string[]): Promise<void> {
  await sql`
    select id from release where id in (select release_id from release_service where artifact_key = any(${[...keys]}))
    order by id for update`.execute(db);
}

/** The releases that are ready and contain an artifact that is not there any more have failed. @returns their projects */
export async function failReady(db: Sql, key: string, problem: Problem): Promise<string[]> {
  const { rows: named } = await sql<{ service: string }>`
    select distinct service from release_service where artifact_key = ${key}`.execute(db);
  const projects = new Set<string>();
  for (const { service } of named) {
    const failed = stateOf([{ service, isBase: false, state: 'failed', problem }]);
    const { rows } = await sql<{ project_id: string }>`
      update release set state = ${failed.state}, problem = ${json(failed.problem)}, ready_at = null
      where state = 'ready'
        and id in (select release_id from release_service where artifact_key = ${key} and service = ${service})
      returning project_id`.execute(db);
    for (const { project_id: projectId } of rows) projects.add(projectId);
  }
  return [...projects];
}

/** Every release that contains the artifact. */
export async function releasesWithKey(db: Sql, key: string): Promise<string[]> {
  const rows = await db
    .selectFrom('release_service')
    .select('release_id')
    .where('artifact_key', '=', key)
    .orderBy('release_id')
    .execute();
  return rows.map(({ release_id }) => release_id);
}

export async function releaseById(db: Sql, id: string): Promise<Release | null> {
  const [release] = await releasesByIds(db, [id]);
  return release ?? null;
}

/** One that some row names: releases are never taken away. */
export async function requireRelease(db: Sql, id: string): Promise<Release> {
  const release = await releaseById(db, id);
  if (release !== null) return release;
  throw new Error(`The release ${id} is gone.`);
}

/** The same without its services. */
export async function requireHead(db: Sql, id: string): Promise<ReleaseHead> {
  const [head] = await releaseHeads(db, [id]);
  if (head !== undefined) return head;
  throw new Error(`The release ${id} is gone.`);
}

/** In the order asked for; unknown ids are left out. */
export async function releasesByIds(db: Sql, ids: readonly string[]): Promise<Release[]> {
  const heads = await releaseHeads(db, ids);
  const services = await servicesOf(
    db,
    heads.map(({ id }) => id),
  );
  return heads.map((head) => ({ ...head, services: services.get(head.id) ?? [] }));
}

/** The same without their services. */
export async function releaseHeads(db: Sql, ids: readonly string[]): Promise<ReleaseHead[]> {
  if (ids.length === 0) return [];
  const rows = await db
    .selectFrom('release')
    .selectAll()
    .where('id', 'in', [...new Set(ids)])
    .execute();
  const yanks = await yanksOf(db, rows);
  const known = new Map(
    rows.map((row): [string, ReleaseHead] => [
      row.id,
      {
        id: row.id,
        number: row.number,
        projectId: row.project_id,
        repositoryId: row.repository_id,
        commit: row.commit_sha,
        edition: row.edition,
        mixed: row.mixed,
        fingerprint: row.fingerprint,
        state: row.state,
        problem: row.problem as Problem | null,
        createdBy: row.created_by,
        createdAt: row.created_at,
        yank: yanks.get(twinKey(row)) ?? null,
      },
    ]),
  );
  return ids.flatMap((id) => known.get(id) ?? []);
}

/** The services of releases, by their names. */
export async function servicesOf(db: Sql, ids: readonly string[]): Promise<Map<string, ReleaseService[]>> {
  if (ids.length === 0) return new Map();
  const parts = await db
    .selectFrom('release_service')
    .innerJoin('artifact', 'artifact.key', 'release_service.artifact_key')
    .innerJoin('release', 'release.id', 'release_service.release_id')
    .innerJoin('project', 'project.id', 'release.project_id')
    .select([
      'release_service.release_id',
      'release_service.service',
      'project.name as project',
      'release_service.commit_sha',
      'artifact.key',
      'artifact.state',
      'artifact.repository',
      'artifact.digest',
      'artifact.built_for_commit',
      'artifact.log_id',
      'artifact.problem',
      'artifact.report_until',
      isBase(),
    ])
    .where('release_id', 'in', [...new Set(ids)])
    .orderBy('release_service.service')
    .execute();
  const groups = groupBy(parts, ({ release_id }) => release_id);
  return new Map(
    [...groups].map(([id, rows]) => [
      id,
      rows.map((part): ReleaseService => ({
        service: part.service,
        isBase: part.is_base,
        commit: part.commit_sha,
        key: part.key,
        state: part.state,
        repository: `${part.project}/${part.service}`,
        builtIn: part.repository,
        digest: part.state === 'built' ? (part.digest as Digest | null) : null,
        builtFor: part.built_for_commit,
        logId: part.log_id,
        problem: part.problem as Problem | null,
        reportUntil: part.report_until,
      })),
    ]),
  );
}

/** Branches and tags that mean a release now (of a commit, its newest edition that they named): tags, the default branch, others; the newest name first within each. */
export async function namesOf(db: Sql, ids: readonly string[]): Promise<Map<string, string[]>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .selectFrom('release_name')
    .innerJoin('release', 'release.id', 'release_name.release_id')
    .innerJoin('ref', (join) =>
      join
        .onRef('ref.repository_id', '=', 'release.repository_id')
        .onRef('ref.name', '=', 'release_name.ref')
        .onRef('ref.commit_sha', '=', 'release.commit_sha')
        .on('ref.deleted_at', 'is', null),
    )
    .innerJoin('repository', 'repository.id', 'release.repository_id')
    .select(['release_name.release_id', 'release_name.ref', 'repository.default_branch'])
    .where('release_name.release_id', 'in', [...new Set(ids)])
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('release as later')
            .innerJoin('release_name as its', 'its.release_id', 'later.id')
            .select('later.id')
            .whereRef('later.repository_id', '=', 'release.repository_id')
            .whereRef('later.commit_sha', '=', 'release.commit_sha')
            .whereRef('later.edition', '>', 'release.edition')
            .where('later.mixed', '=', false)
            .whereRef('its.ref', '=', 'release_name.ref'),
        ),
      ),
    )
    .orderBy('release_name.named_at', 'desc')
    .execute();
  return tagsFirst(rows);
}

/** Every branch and tag under which a release was ever taken in, also those that were deleted or mean another commit now. */
export async function recordedNamesOf(db: Sql, ids: readonly string[]): Promise<Map<string, string[]>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .selectFrom('release_name')
    .select(['release_id', 'ref'])
    .where('release_id', 'in', [...new Set(ids)])
    .orderBy('named_at', 'desc')
    .execute();
  return tagsFirst(rows);
}

/** Whether a release had its artifacts at an instant, and has them still. */
export async function readyAt(db: Sql, id: string, at: Date): Promise<boolean> {
  const row = await db.selectFrom('release').select('ready_at').where('id', '=', id).executeTakeFirst();
  return row !== undefined && row.ready_at !== null && row.ready_at <= at;
}

/** Of some commits of a repository, those that were ever taken in under the name of a branch or tag. @param at by that instant */
export async function namedCommits(
  db: Sql,
  repositoryId: string,
  ref: string,
  commits: readonly string[],
  at?: Date,
): Promise<ReadonlySet<string>> {
  if (commits.length === 0) return new Set();
  const rows = await db
    .selectFrom('release')
    .innerJoin('release_name', 'release_name.release_id', 'release.id')
    .select('release.commit_sha')
    .where('release.repository_id', '=', repositoryId)
    .where('release.commit_sha', 'in', commits)
    .where('release.mixed', '=', false)
    .where('release_name.ref', '=', ref)
    .$if(at !== undefined, (query) => query.where('release_name.named_at', '<=', at ?? new Date()))
    .execute();
  return new Set(rows.map(({ commit_sha }) => commit_sha));
}

function tagsFirst(
  rows: readonly { release_id: string; ref: string; default_branch?: string }[],
): Map<string, string[]> {
  const names = groupBy(rows, ({ release_id }) => release_id);
  return new Map(
    [...names].map(([id, list]) => {
      const ranked = list.map(({ ref, default_branch: usual }) => ({ ref, rank: rankOf(ref, usual) }));
      return [id, ranked.toSorted((one, other) => one.rank - other.rank).map(({ ref }) => ref)];
    }),
  );
}

/** A commit that is merged is told by where it is, and not by the branch that somebody has just begun at it. */
function rankOf(ref: string, usual: string | undefined): number {
  if (ref.startsWith('refs/tags/')) return 0;
  return ref === `refs/heads/${usual}` ? 1 : 2;
}

/** One page of a project's releases, the newest first. `before` is the number that the last page ended with. */
export async function listReleases(db: Sql, projectId: string, limit: number, before?: number): Promise<ReleaseHead[]> {
  let query = db.selectFrom('release').select('id').where('project_id', '=', projectId);
  if (before !== undefined) query = query.where('number', '<', before);
  const rows = await query.orderBy('number', 'desc').limit(limit).execute();
  return releaseHeads(
    db,
    rows.map(({ id }) => id),
  );
}

/** Ready releases nearest in number: what could be promoted instead of one that has no artifacts. */
export async function readyNear(
  db: Sql,
  release: Pick<Release, 'projectId' | 'repositoryId' | 'number'>,
  limit: number,
): Promise<string[]> {
  const rows = await db
    .selectFrom('release')
    .select(['commit_sha', 'number'])
    .where('project_id', '=', release.projectId)
    .where('repository_id', '=', release.repositoryId)
    .where('state', '=', 'ready')
    .where('mixed', '=', false)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('release as twin')
            .select('twin.id')
            .whereRef('twin.project_id', '=', 'release.project_id')
            .whereRef('twin.fingerprint', '=', 'release.fingerprint')
            .where('twin.yanked_at', 'is not', null),
        ),
      ),
    )
    .where('number', '<=', release.number)
    .orderBy('number', 'desc')
    .limit(limit)
    .execute();
  return rows.map(({ commit_sha, number }) => `#${number} (${commit_sha.slice(0, 7)})`);
}
