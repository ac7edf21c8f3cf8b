import { environmentNamed } from '../../environment/environment-store.ts';
import { hasCode, TowpathError } from '../../lib/error.ts';
import { type Release, spansBetween } from '../../release/release.ts';
import { releaseById } from '../../release/release-store.ts';
import { findRelease } from '../../release/find-store.ts';
import type { House } from '../house.ts';
import type { CommitView, DiffView } from '../view/path.ts';
import { projectNamed } from './project-named.ts';

const SHOWN_COMMITS = 100;

/** What is different between two releases, or what two environments run. */
export async function diff(house: House, project: string, from: string, to: string): Promise<DiffView> {
  const { id } = await projectNamed(house.store.db, project);
  const [one, other] = await Promise.all([sideOf(house, id, from), sideOf(house, id, to)]);
  if (one !== null && other !== null && one.repositoryId !== other.repositoryId)
    throw new TowpathError({
      code: 'release.other-repository',
      what: `"${from}" and "${to}" are of two repositories of the project, which have no history in common.`,
      fix: 'Compare releases of one repository, or its places.',
    });
  return diffBetween(house, { name: from, release: one }, { name: to, release: other });
}

/** What is compared, and how whoever asks calls it; null: nothing runs there. */
export interface Side {
  readonly name: string;
  readonly release: Release | null;
}

export async function diffBetween(
  house: House,
  { name: from, release: one }: Side,
  { name: to, release: other }: Side,
): Promise<DiffView> {
  const services = [
    ...new Set([...(one?.services ?? []), ...(other?.services ?? [])].map(({ service }) => service)),
  ].toSorted();
  return {
    from,
    to,
    services: services.map((service) => {
      const before = one?.services.find((part) => part.service === service)?.digest ?? null;
      const after = other?.services.find((part) => part.service === service)?.digest ?? null;
      return { service, from: before, to: after, same: before === after };
    }),
    commits: await commitsBetween(house, one, other),
    lost: one === null ? [] : await commitsBetween(house, other, one),
  };
}

/** An environment stands for what it runs; null when it runs nothing. */
async function sideOf(house: House, projectId: string, word: string): Promise<Release | null> {
  const { db } = house.store;
  try {
    const environment = await environmentNamed(db, projectId, word);
    return environment.currentReleaseId === null ? null : await releaseById(db, environment.currentReleaseId);
  } catch (error) {
    if (!hasCode(error, 'environment.unknown')) throw error;
  }
  try {
    return await findRelease(db, projectId, word);
  } catch (error) {
    if (!hasCode(error, 'release.unknown')) throw error;
    throw new TowpathError({
      code: 'path.unknown-subject',
      what: `"${word}" is neither an environment nor a release of this project.`,
      fix: 'Name an environment, or a release by number (#12), commit, branch or tag.',
    });
  }
}

/** Commits that `to` has and `from` lacks, over all parts of both, newest first. */
async function commitsBetween(house: House, from: Release | null, to: Release | null): Promise<CommitView[]> {
  if (to === null) return [];
  const mirror = await house.mirrorOf(to.repositoryId);
  const before = from?.repositoryId === to.repositoryId ? from : null;
  const spans = spansBetween(before, to).filter((span) => span.from !== span.to);
  const commits = await Promise.all(
    spans.map((span) =>
      mirror.log({ ...(span.from === null ? {} : { from: span.from }), to: span.to, limit: SHOWN_COMMITS }),
    ),
  );
  const all = [...new Map(commits.flat().map((commit) => [commit.sha, commit])).values()];
  // git has ordered one span; several are put together by time
  const ordered = spans.length < 2 ? all : all.toSorted((a, b) => b.committedAtMs - a.committedAtMs);
  return ordered.slice(0, SHOWN_COMMITS).map(({ sha, authorName, committedAtMs, subject }) => ({
    sha,
    author: authorName,
    at: new Date(committedAtMs).toISOString(),
    subject,
  }));
}
