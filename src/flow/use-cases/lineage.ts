import { sql } from 'kysely';

import { parentsOfAll } from '../../artifact/parent-store.ts';
import type { Report } from '../../artifact/report.ts';
import { reportsByKey } from '../../artifact/report-store.ts';
import { evidenceOfRelease } from '../../check/evidence-store.ts';
import { hasCode, TowpathError } from '../../lib/error.ts';
import { recordedNamesOf, servicesOf } from '../../release/release-store.ts';
import { commitsOf } from '../../source/commit-store.ts';
import type { Sql } from '../../store/database.ts';
import type { House } from '../house.ts';
import { placesIn } from '../places.ts';
import type { LineageView, ReportedView } from '../view/path.ts';
import { evidenceView } from './evidence-view.ts';
import { releaseOf } from './releases.ts';
import { projectNamed } from './project-named.ts';
import { briefOf, briefsOf } from './views.ts';

const SHOWN = 50;

/** Commit -> artifact -> evidence -> environment, from any of them to all the others, at most 50 releases wide. */
export async function lineage({ store }: House, project: string, subject: string): Promise<LineageView> {
  const { db } = store;
  const { id: projectId } = await projectNamed(db, project);
  const ids = await releasesBehind(db, project, projectId, subject);
  const briefs = await briefsOf(db, ids);
  const releases = ids.flatMap((id) => briefs.get(id) ?? []);
  const services = await servicesOf(db, ids);
  const shas = [
    ...new Set(releases.flatMap(({ id, commit }) => [...(services.get(id) ?? []).map((part) => part.commit), commit])),
  ];
  const repositories = [...new Set(releases.map(({ release }) => release.repositoryId))];
  const found = await Promise.all(repositories.map((repositoryId) => commitsOf(db, repositoryId, shas)));
  const commits = new Map(found.flatMap((some) => [...some]));
  const refs = await recordedNamesOf(db, ids);
  const parts = new Map(ids.flatMap((id) => services.get(id) ?? []).map((part) => [part.key, part]));
  const upon = await parentsOfAll(db, [...parts.keys()]);
  const reports = await reportsByKey(db, [...parts.keys()]);
  const evidence = (
    await Promise.all(releases.slice(0, 10).map(({ release }) => evidenceOfRelease(db, release.id)))
  ).flat();
  return {
    subject,
    commits: shas.map((sha) => {
      const commit = commits.get(sha);
      const names = releases.filter(({ commit: own }) => own === sha).flatMap(({ id }) => refs.get(id) ?? []);
      return { sha, author: commit?.authorName ?? '', subject: commit?.subject ?? '', refs: [...new Set(names)] };
    }),
    releases: releases.map(briefOf),
    artifacts: [...parts.values()].map(({ service, key, digest, builtFor }) => ({
      service,
      key,
      digest,
      builtFor,
      reported: reportedOf(reports.get(key)),
      upon: upon.get(key) ?? [],
    })),
    evidence: [...new Map(evidence.map((item) => [item.id, item])).values()].map(evidenceView),
    environments: await travelsOf(db, ids),
  };
}

function reportedOf(report: Report | undefined): ReportedView | null {
  if (report === undefined) return null;
  const { by, endedAt, at, commit, image, origin, identity } = report;
  const provenance = origin && { builder: origin.builder, sources: origin.sources, signed: origin.signed };
  return { by, at: (endedAt ?? at).toISOString(), commit, image: image ?? '', identity, provenance };
}

async function releasesBehind(db: Sql, project: string, projectId: string, subject: string): Promise<string[]> {
  try {
    const places = await placesIn(db, projectId, subject);
    const rows = await db
      .selectFrom('tenure')
      .select('release_id')
      .where(
        'environment_id',
        'in',
        places.map(({ id }) => id),
      )
      .orderBy('began_at', 'desc')
      .limit(SHOWN)
      .execute();
    return [...new Set(rows.map(({ release_id }) => release_id))];
  } catch (error) {
    if (!hasCode(error, 'environment.unknown')) throw error;
  }
  try {
    return [(await releaseOf(db, project, subject)).id];
  } catch (error) {
    if (!hasCode(error, 'release.unknown')) throw error;
    const ofArtifact = await releasesOfArtifact(db, projectId, subject);
    if (ofArtifact.length > 0) return ofArtifact;
    throw error;
  }
}

/** @param word the digest or the key of an artifact, or at least six digits of its beginning */
async function releasesOfArtifact(db: Sql, projectId: string, word: string): Promise<string[]> {
  const digits = /^(?:sha256:)?([0-9a-f]{6,64})$/.exec(word)?.[1];
  if (digits === undefined) return [];
  const artifacts = await db
    .selectFrom('artifact')
    .select(['key', 'digest'])
    .where('project_id', '=', projectId)
    .where((eb) =>
      eb.or([
        sql<boolean>`starts_with(${eb.ref('digest')}, ${`sha256:${digits}`})`,
        ...(word.startsWith('sha256:') ? [] : [sql<boolean>`starts_with(${eb.ref('key')}, ${digits})`]),
      ]),
    )
    .execute();
  const meant = new Set(
    artifacts.map(({ key, digest }) => (digest?.startsWith(`sha256:${digits}`) === true ? digest : key)),
  );
  if (meant.size > 1)
    throw new TowpathError({
      code: 'path.digest-ambiguous',
      what: `"${word}" begins ${meant.size} digests or keys of artifacts.`,
      fix: 'Give more digits.',
    });
  if (artifacts.length === 0) return [];
  const rows = await db
    .selectFrom('release_service')
    .innerJoin('release', 'release.id', 'release_service.release_id')
    .select('release.id')
    .distinct()
    .select('release.number')
    .where(
      'release_service.artifact_key',
      'in',
      artifacts.map(({ key }) => key),
    )
    .orderBy('release.number', 'desc')
    .limit(SHOWN)
    .execute();
  return rows.map(({ id }) => id);
}

async function travelsOf(db: Sql, ids: readonly string[]): Promise<LineageView['environments']> {
  if (ids.length === 0) return [];
  const rows = await db
    .selectFrom('promotion')
    .innerJoin('environment', 'environment.id', 'promotion.environment_id')
    .select([
      'promotion.id',
      'promotion.state',
      'promotion.release_id',
      'promotion.changed_at',
      'environment.name',
      'environment.current_release_id',
    ])
    .where('promotion.release_id', 'in', [...ids])
    .orderBy('promotion.number', 'desc')
    .limit(4 * SHOWN)
    .execute();
  return rows.map((row) => ({
    environment: row.name,
    promotion: row.id,
    release: row.release_id,
    state: row.state,
    at: row.changed_at.toISOString(),
    now: row.current_release_id === row.release_id && row.state === 'live',
  }));
}
