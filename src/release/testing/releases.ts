import { claimArtifacts, recordBuilt } from '../../artifact/artifact-store.ts';
import { sha256 } from '../../lib/digest.ts';
import type { Sql } from '../../store/database.ts';
import { cutRelease } from '../cut-store.ts';
import { settleRelease } from '../release-store.ts';

export const PROJECT = 'prj_1';
export const REPOSITORY = 'repo_1';

/** A project with one repository, as rows. */
export async function seedProject(db: Sql, id = PROJECT, repositoryId = REPOSITORY): Promise<void> {
  await db.insertInto('project').values({ id, name: id }).execute();
  await db
    .insertInto('repository')
    .values({ id: repositoryId, project_id: id, url: `file:///${id}`, default_branch: 'main' })
    .execute();
}

export interface SeededRelease {
  readonly commit: string;
  /** Service -> artifact key. */
  readonly keys: Readonly<Record<string, string>>;
  readonly mixed?: boolean;
  readonly anew?: boolean;
  /** False leaves its new artifacts unbuilt. */
  readonly built?: boolean;
}

/** A release with its artifacts. @returns its id */
export async function seedRelease(db: Sql, { commit, keys, mixed = false, anew = false, built = true }: SeededRelease) {
  const services = Object.entries(keys).map(([service, key]) => ({ service, key, commit }));
  const wanted = services.map(({ service, key }) => ({
    service,
    key,
    depth: 0,
    builder: 'node',
    repository: `shop/${service}`,
    inputs: {},
  }));
  for (const key of await claimArtifacts(db, PROJECT, commit, wanted)) {
    if (!built) continue;
    await recordBuilt(db, key, { digest: sha256(key), mediaType: 'image', sizeBytes: 1, provenance: {} });
  }
  const id = await cutRelease(db, {
    projectId: PROJECT,
    repositoryId: REPOSITORY,
    commit,
    mixed,
    anew,
    createdBy: 'ana',
    problem: null,
    services,
  });
  await settleRelease(db, id);
  return id;
}
