import { sql } from 'kysely';

import { artifactByKey, inputsOf, type ArtifactRow } from '../artifact/artifact-store.ts';
import type { ExpectedReport } from '../artifact/builder.ts';
import { conflictWith, type Report, reporterOf } from '../artifact/report.ts';
import { reportsByKey } from '../artifact/report-store.ts';
import type { Digest } from '../lib/digest.ts';
import { problemOf, TowpathError, type Problem } from '../lib/error.ts';
import type { Sql } from '../store/database.ts';
import type { House } from './house.ts';
import { planArtifacts, type PlannedArtifact } from './plan-artifacts.ts';
import { configAt } from './project-config.ts';
import { isTransient } from './transient.ts';

/** The artifact that a report is about. */
export interface Reported {
  readonly kind: 'found';
  readonly key: string;
  readonly expected: ExpectedReport;
  /** Of ours: `<project>/<service>`. */
  readonly repository: string;
  /** What stands already. */
  readonly digest: Digest | null;
  /** Of a commit that no release was cut of; its artifact may have no row yet. */
  readonly planned: PlannedArtifact | null;
}

export type Found = Reported | { readonly kind: 'unseen' } | { readonly kind: 'refused'; readonly problem: Problem };

/** `unseen`: neither a release of the project is of this commit, nor does a branch or tag hold it. */
export async function findReported(house: House, report: Report): Promise<Found> {
  const { db } = house.store;
  try {
    const released = await releasedArtifact(db, report);
    if (released !== null) return { ...(await foundBy(house, db, released, report)), planned: null };
    const repositoryId = await repositoryWith(house, report);
    if (repositoryId === null) return { kind: 'unseen' };
    const planned = await planOne(house, repositoryId, report);
    const row = await artifactByKey(db, planned.key);
    if (row !== null) return { ...(await foundBy(house, db, row, report)), planned };
    const { key, repository, inputs } = planned;
    return { kind: 'found', key, repository, expected: expectedBy(house, report, inputs), digest: null, planned };
  } catch (error) {
    if (isTransient(error)) throw error;
    return { kind: 'refused', problem: problemOf(error) };
  }
}

/**
 * The artifact of a service at a commit that a release was cut of; null when there is no such release, or it could not be
 * planned yet.
 * @throws TowpathError `artifact.service-unknown`
 */
export async function releasedArtifact(
  db: Sql,
  { projectId, service, commit }: Pick<Report, 'projectId' | 'service' | 'commit'>,
): Promise<ArtifactRow | null> {
  const rows = await db
    .selectFrom('release')
    .innerJoin('release_service', 'release_service.release_id', 'release.id')
    .select(['release_service.service', 'release_service.artifact_key'])
    .where('release.project_id', '=', projectId)
    .where('release.commit_sha', '=', commit)
    .where('release.mixed', '=', false)
    .orderBy('release.edition', 'desc')
    .execute();
  if (rows.length === 0) return null;
  const found = rows.find((row) => row.service === service);
  if (found !== undefined) return artifactByKey(db, found.artifact_key);
  throw serviceUnknown(service, commit, [...new Set(rows.map((row) => row.service))]);
}

/** @throws TowpathError `artifact.report-conflict` where another digest stands, `artifact.built-here` */
export async function foundBy(
  house: Pick<House, 'builders'>,
  db: Sql,
  artifact: ArtifactRow,
  report: Pick<Report, 'service' | 'commit' | 'digest'>,
): Promise<Omit<Reported, 'planned'>> {
  const { key, repository, digest } = artifact;
  const expected = expectedBy(house, report, inputsOf(artifact));
  if (digest !== null && digest !== report.digest) throw await conflict(db, artifact, report);
  return { kind: 'found', key, repository, expected, digest };
}

export async function conflict(
  db: Sql,
  { key, digest, builtForCommit }: Pick<ArtifactRow, 'key' | 'digest' | 'builtForCommit'>,
  report: Pick<Report, 'service' | 'commit' | 'digest'>,
): Promise<TowpathError> {
  const first = (await reportsByKey(db, [key])).get(key);
  const stands = first?.digest ?? digest ?? report.digest;
  const { commit = builtForCommit, at = new Date(0) } = first ?? {};
  const by = first === undefined ? 'somebody' : reporterOf(first);
  return conflictWith({ digest: stands, commit, by, at }, report);
}

/** @throws TowpathError `artifact.built-here` */
function expectedBy(
  { builders }: Pick<House, 'builders'>,
  { service }: Pick<Report, 'service'>,
  { builder, definition }: { readonly builder: { readonly name: string }; readonly definition: unknown },
): ExpectedReport {
  const found = builders.get(builder.name);
  const expected = found?.expects?.(found.definition.parse(definition));
  if (expected !== undefined) return expected;
  throw new TowpathError({
    code: 'artifact.built-here',
    what: `Towpath builds "${service}" itself, with ${builder.name}.`,
    fix: 'Give the service `build: { external: { image: ... } }` in towpath.yaml to have another CI build it.',
  });
}

/**
 * The repository of which a branch or tag holds the commit. Only what was fetched for these is looked at: git hosts give out
 * commits of forks to whoever asks for them by name.
 */
async function repositoryWith(house: House, { projectId, commit }: Report): Promise<string | null> {
  const { db } = house.store;
  const repositories = await db
    .selectFrom('repository')
    .select('id')
    .where('project_id', '=', projectId)
    .where('left_at', 'is', null)
    .execute();
  for (const { id } of repositories) {
    const mirror = await house.mirrorOf(id);
    if (!(await mirror.has(commit))) continue;
    const heads = await db
      .selectFrom('ref')
      .innerJoin('repository', 'repository.id', 'ref.repository_id')
      .select('ref.commit_sha')
      .where('ref.repository_id', '=', id)
      .where('ref.deleted_at', 'is', null)
      .orderBy(sql`ref.name = 'refs/heads/' || repository.default_branch`, 'desc')
      .orderBy('ref.seen_at', 'desc')
      .limit(MOST_HEADS)
      .execute();
    for (const head of new Set(heads.map(({ commit_sha }) => commit_sha)))
      if ((await mirror.has(head)) && (await mirror.isAncestor(commit, head))) return id;
  }
  return null;
}

const MOST_HEADS = 200;

async function planOne(house: House, repositoryId: string, report: Report): Promise<PlannedArtifact> {
  const { projectId, service, commit } = report;
  const config = await configAt(house, repositoryId, commit);
  const definition = config.services[service];
  if (definition === undefined) throw serviceUnknown(service, commit, Object.keys(config.services));
  const only = { ...config, services: { [service]: { ...definition, bases: [] } } };
  if (definition.elsewhere !== true)
    expectedBy(house, report, { builder: { name: definition.build.builder }, definition: definition.build.definition });
  const [planned] = await planArtifacts(house, projectId, repositoryId, commit, only);
  if (planned !== undefined) return planned;
  throw serviceUnknown(service, commit, []);
}

function serviceUnknown(service: string, commit: string, known: readonly string[]): TowpathError {
  return new TowpathError({
    code: 'artifact.service-unknown',
    what: `Commit ${commit.slice(0, 7)} has no service "${service}".`,
    fix: `Name one of: ${known.join(', ')}.`,
  });
}
