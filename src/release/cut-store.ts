import type { Problem } from '../lib/error.ts';
import { newId } from '../lib/ids.ts';
import { json, type Sql } from '../store/database.ts';
import { fingerprintOf } from './release.ts';

export interface ReleaseToCut {
  readonly projectId: string;
  readonly repositoryId: string;
  readonly commit: string;
  readonly mixed: boolean;
  /** Of a mix, that of its base. */
  readonly edition?: number;
  /** The pins of base images moved: other artifacts than before are wanted. */
  readonly anew?: boolean;
  readonly createdBy: string;
  readonly problem: Problem | null;
  /** The problem may pass by itself: until then the release is being built. */
  readonly waits?: boolean;
  readonly services: readonly { readonly service: string; readonly key: string; readonly commit: string }[];
}

/**
 * Cuts a release. A commit has one unmixed release: asked again, that one is given. One that could not be planned (an
 * outside base that was away) has no services, and gets those that a later plan found. Only who cuts `anew`, for pins of
 * base images moved, gets the commit's next edition, and that only where its artifacts are others.
 */
export async function cutRelease(db: Sql, cut: ReleaseToCut): Promise<string> {
  const fingerprint = fingerprintOf(Object.fromEntries(cut.services.map(({ service, key }) => [service, key])));
  const known = cut.mixed ? [] : await editionsOf(db, cut.repositoryId, cut.commit);
  const [newest] = known;
  if (newest !== undefined) {
    await planAgain(db, newest.id, cut, fingerprint);
    // bases that broke a build must not take the artifacts away that the commit has
    const standing =
      known.find(({ state }) => state === 'ready') ?? known.find(({ state }) => state !== 'failed') ?? newest;
    if (cut.anew !== true || cut.problem !== null) return standing.id;
    if (!newest.hasServices || newest.fingerprint === fingerprint) return newest.id;
  }
  const row = await db
    .insertInto('release')
    .values({
      id: newId('rel'),
      project_id: cut.projectId,
      repository_id: cut.repositoryId,
      commit_sha: cut.commit,
      edition: cut.edition ?? (newest?.edition ?? 0) + 1,
      mixed: cut.mixed,
      fingerprint,
      ...outcomeOf(cut),
      created_by: cut.createdBy,
    })
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'commit_sha', 'edition']).where('mixed', '=', false).doNothing(),
    )
    .returning('id')
    .executeTakeFirst();
  if (row === undefined) return cutRelease(db, cut); // somebody cut it at the same moment, and it can be seen now
  await recordServices(db, row.id, cut);
  return row.id;
}

/** Whether a commit has artifacts, or they are being made: then only a refresh asks for others. */
export async function hasArtifacts(db: Sql, repositoryId: string, commit: string): Promise<boolean> {
  const row = await db
    .selectFrom('release')
    .innerJoin('release_service', 'release_service.release_id', 'release.id')
    .select('release.id')
    .where('repository_id', '=', repositoryId)
    .where('release.commit_sha', '=', commit)
    .where('mixed', '=', false)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** The unmixed releases of a commit, the newest first. They stay as they are until the end of the transaction. */
async function editionsOf(db: Sql, repositoryId: string, commit: string) {
  // locked in one order, the oldest first: two who cut at once wait for each other, and never in a circle
  const rows = await db
    .selectFrom('release')
    .select(['id', 'edition', 'state', 'fingerprint'])
    .select((eb) =>
      eb
        .exists(eb.selectFrom('release_service').select('service').whereRef('release_id', '=', 'release.id'))
        .$castTo<boolean>()
        .as('hasServices'),
    )
    .where('repository_id', '=', repositoryId)
    .where('commit_sha', '=', commit)
    .where('mixed', '=', false)
    .orderBy('edition')
    .forUpdate()
    .execute();
  return rows.toReversed();
}

async function planAgain(db: Sql, releaseId: string, cut: ReleaseToCut, fingerprint: string): Promise<void> {
  const { numUpdatedRows } = await db
    .updateTable('release')
    .set({
      fingerprint,
      ...outcomeOf(cut),
    })
    .where('id', '=', releaseId)
    .where('state', '<>', 'ready')
    .where((eb) =>
      eb.not(eb.exists(eb.selectFrom('release_service').select('service').where('release_id', '=', releaseId))),
    )
    .executeTakeFirst();
  if (numUpdatedRows > 0n) await recordServices(db, releaseId, cut);
}

function outcomeOf({ problem, waits = false }: ReleaseToCut) {
  return {
    state: problem === null || waits ? ('building' as const) : ('failed' as const),
    problem: problem === null ? null : json(problem),
  };
}

async function recordServices(db: Sql, releaseId: string, { services }: ReleaseToCut): Promise<void> {
  if (services.length === 0) return;
  await db
    .insertInto('release_service')
    .values(
      services.map(({ service, key, commit }) => ({
        release_id: releaseId,
        service,
        artifact_key: key,
        commit_sha: commit,
      })),
    )
    .execute();
}
