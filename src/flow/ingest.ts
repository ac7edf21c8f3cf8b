import { claimArtifacts } from '../artifact/artifact-store.ts';
import { givenUpOf } from '../artifact/given-up-store.ts';
import { reportsWaiting } from '../artifact/report-store.ts';
import { recordConfig, recordConfigProblem, recordWish } from '../config/config-store.ts';
import type { ProjectConfig } from '../config/config.ts';
import { syncEnvironments } from '../environment/environment-store.ts';
import { pullNumber } from '../git/ref.ts';
import { hasCode, type Problem, problemOf } from '../lib/error.ts';
import { cutRelease, hasArtifacts } from '../release/cut-store.ts';
import { isNamedSince, nameRelease, settleRelease } from '../release/release-store.ts';
import { recordCommit } from '../source/commit-store.ts';
import { type Member, repositoriesOf, repositoryById, syncMembers } from '../source/member-store.ts';
import type { Sql, Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import { beginBuilds, takeUp } from './begin-builds.ts';
import { wakeThoseFor } from './build.ts';
import { admitStrangers, isOfAFork } from './strangers.ts';
import { durable } from './engine/durable.ts';
import { step, transaction } from './engine/step.ts';
import type { House } from './house.ts';
import { type PlannedArtifact, planArtifacts } from './plan-artifacts.ts';
import { configOf, membersOf } from './members.ts';
import { staticPlaces } from './places.ts';
import { isTransient } from './transient.ts';
import { wakeProject } from './wake.ts';
import { withdraw } from './withdraw.ts';

interface Seen {
  readonly projectId: string;
  readonly repositoryId: string;
  readonly ref: string;
  readonly commit: string;
  readonly author: string;
  /** Who moved the pins of base images for which a head is planned anew; null when the ref itself moved. */
  readonly refreshedBy: string | null;
  /** Set when the ref is the default branch: the head that rules the path. */
  readonly head: string | null;
  readonly seenAtMs: number;
}

/**
 * A ref moved (or the pins of base images did, under the default branch's head): its commit becomes a release, and every
 * artifact that it lacks gets built. What waits because of where the ref was before is withdrawn.
 */
export function ingestFlow(house: House) {
  return durable('ingest', async ({ eventId }: { eventId: string }) => {
    const retry = { attempts: 5, firstMs: 500, when: isTransient };
    const seen = await step('read', () => readEvent(house, eventId), { retry });
    if (seen === null || 'gone' in seen) {
      await transaction('leave', (tx) => leave(house, tx, eventId, seen));
      return;
    }
    if (seen.head !== null) {
      const head = seen.head;
      const config = await step('path', () => readConfig(house, seen.repositoryId, head), { retry });
      await transaction('lay-path', (tx) => layPath(house, tx, seen, head, config));
    }
    const planned = step('plan', () => planRelease(house, seen), { retry });
    // after a refresh there is a release that stands meanwhile: the work is given up, and taken up again later
    const plan = await (seen.refreshedBy === null ? planned.catch(toPlan) : planned);
    await transaction('cut', (tx) => cut(house, tx, eventId, seen, plan));
  });
}

type ConfigAnswer =
  | { kind: 'config'; config: ProjectConfig; members: readonly Member[] }
  | { kind: 'problem'; problem: Problem };
type Plan =
  | { kind: 'artifacts'; artifacts: PlannedArtifact[] }
  | { kind: 'problem'; problem: Problem }
  | { kind: 'away'; problem: Problem };

/** What was away for as long as we tried: the registry of a base image, say. */
function toPlan(error: unknown): Plan {
  if (!isTransient(error)) throw error;
  return { kind: 'away', problem: problemOf(error) };
}

/** So long a release waits for what is away while it is planned, as long as a build does; then it has failed. */
const PATIENCE_MS = 86_400_000;

function waitingProblem({ code, what, fix }: Problem, untilMs: number): Problem {
  return {
    code,
    what: `${what} It is planned again every few minutes, until ${new Date(untilMs).toISOString()}.`,
    fix: `${fix} \`towpath build\` plans it at once.`,
  };
}

/** The ref was deleted; or its commit was pushed away, or is refused by git, before it was read: nothing can be built. */
interface Gone {
  readonly projectId: string;
  readonly repositoryId: string;
  readonly ref: string;
  readonly gone: Problem | null;
}

async function leave(house: House, tx: Tx, eventId: string, seen: Gone | null): Promise<void> {
  if (seen !== null) await withdraw(house, tx, seen.repositoryId, seen.ref);
  if (seen !== null && seen.gone !== null)
    await recordEvent(tx, {
      projectId: seen.projectId,
      kind: 'ref.gone',
      subject: seen.ref,
      data: { problem: seen.gone },
    });
  await endEvent(tx, eventId);
}

async function readEvent(house: House, eventId: string): Promise<Seen | Gone | null> {
  const { db } = house.store;
  const event = await db
    .selectFrom('ref_event')
    .innerJoin('repository', 'repository.id', 'ref_event.repository_id')
    .select([
      'ref_event.ref',
      'ref_event.kind',
      'ref_event.after_sha',
      'ref_event.handled_at',
      'ref_event.by_user',
      'ref_event.seen_at',
      'repository.id',
      'repository.project_id',
      'repository.default_branch',
    ])
    .where('ref_event.id', '=', eventId)
    .executeTakeFirstOrThrow();
  if (event.handled_at !== null) return null;
  const place = { projectId: event.project_id, repositoryId: event.id, ref: event.ref };
  if (event.kind === 'deleted' || event.after_sha === null) return { ...place, gone: null };
  // a head that was pushed since is planned with the pins of today anyhow
  if (event.kind === 'refreshed' && (await headOf(db, event.id, event.ref)) !== event.after_sha)
    return { ...place, gone: null };
  const mirror = await house.mirrorOf(event.id);
  try {
    await mirror.ensure(event.after_sha);
  } catch (error) {
    if (!hasCode(error, 'git.object-missing', 'git.unsafe-object')) throw error;
    return { ...place, gone: problemOf(error) };
  }
  if (pullNumber(event.ref) !== null && !(await isOfAFork(db, mirror, event.id, event.after_sha)))
    return { ...place, gone: null };
  const commit = await mirror.commit(event.after_sha);
  const isDefault = event.ref === `refs/heads/${event.default_branch}`;
  await recordCommit(db, event.id, commit, isDefault ? await mirror.firstParentPosition(commit.sha) : null);
  const head = isDefault ? await headOf(db, event.id, event.ref) : null;
  if (head !== null) await mirror.ensure(head);
  return {
    ...place,
    commit: commit.sha,
    author: commit.authorName,
    refreshedBy: event.by_user,
    head,
    seenAtMs: event.seen_at.getTime(),
  };
}

/**
 * Events may come late: the path follows where the default branch is now, never where it was.
 * @param keep until the transaction ends, so that nobody moves it meanwhile
 */
async function headOf(db: Sql, repositoryId: string, ref: string, keep?: 'and keep it'): Promise<string | null> {
  const row = await db
    .selectFrom('ref')
    .select('commit_sha')
    .where('repository_id', '=', repositoryId)
    .where('name', '=', ref)
    .where('deleted_at', 'is', null)
    .$if(keep !== undefined, (query) => query.forShare())
    .executeTakeFirst();
  return row?.commit_sha ?? null;
}

async function readConfig(house: House, repositoryId: string, commit: string): Promise<ConfigAnswer> {
  try {
    const config = await configOf(house, repositoryId, commit);
    return { kind: 'config', config, members: await membersOf(house, repositoryId, config) };
  } catch (error) {
    if (isTransient(error)) throw error;
    return { kind: 'problem', problem: problemOf(error) };
  }
}

/**
 * A path that cannot be read leaves the last good one in force, and says so. One of a head that the branch has left
 * meanwhile is left to the event of the head that it has now: this one may come late, after that one has laid its own.
 */
async function layPath(house: House, tx: Tx, seen: Seen, head: string, answer: ConfigAnswer): Promise<void> {
  if ((await headOf(tx, seen.repositoryId, seen.ref, 'and keep it')) !== head) return;
  if (answer.kind === 'problem') {
    await recordConfigProblem(tx, seen.repositoryId, answer.problem);
    await recordEvent(tx, {
      projectId: seen.projectId,
      kind: 'path.refused',
      subject: head,
      data: { problem: answer.problem },
    });
    return;
  }
  await recordConfig(tx, seen.repositoryId, head, answer.config);
  // a member brings services; the path is the home's
  if ((await repositoryById(tx, seen.repositoryId)).name === null) {
    await syncMembers(tx, seen.projectId, answer.members, house.clock.now());
    await recordWish(tx, seen.projectId, answer.config);
    const repositories = await repositoriesOf(tx, seen.projectId);
    const places = repositories.flatMap((repository, i) => staticPlaces(answer.config, repository, i));
    await syncEnvironments(tx, seen.projectId, places);
  }
  await recordEvent(tx, { projectId: seen.projectId, kind: 'path.laid', subject: head, data: {} });
  await wakeProject(house, tx, seen.projectId);
}

async function planRelease(house: House, seen: Seen): Promise<Plan> {
  try {
    const isOfStrangers = pullNumber(seen.ref) !== null;
    const config = await configOf(house, seen.repositoryId, seen.commit);
    if (isOfStrangers) await admitStrangers(house, seen.repositoryId, seen.commit, config);
    return {
      kind: 'artifacts',
      artifacts: await planArtifacts(house, seen.projectId, seen.repositoryId, seen.commit, config, { isOfStrangers }),
    };
  } catch (error) {
    if (isTransient(error)) throw error;
    return { kind: 'problem', problem: problemOf(error) };
  }
}

/**
 * The release, its name, its artifact rows and the starts of their builds: all of it, or nothing. While something that is
 * needed to plan it is away, the release says so and the event stays open: it is taken in again.
 */
async function cut(house: House, tx: Tx, eventId: string, seen: Seen, plan: Plan): Promise<void> {
  // before any release is locked: everybody locks environments first
  await withdraw(house, tx, seen.repositoryId, seen.ref);
  // a ref at a commit that was planned before means what came of that, though pins may have moved since
  const isKnown = seen.refreshedBy === null && (await hasArtifacts(tx, seen.repositoryId, seen.commit));
  const artifacts = plan.kind === 'artifacts' && !isKnown ? plan.artifacts : [];
  // before they are claimed: whoever claims holds them against each other
  const known = isKnown ? await givenUpOf(tx, seen.repositoryId, seen.commit) : [];
  await takeUp(house, tx, [...known, ...artifacts.map(({ key }) => key)], seen.commit);
  const fresh = await claimArtifacts(tx, seen.projectId, seen.commit, artifacts);
  const untilMs = seen.seenAtMs + PATIENCE_MS;
  const waits = plan.kind === 'away' && !isKnown && house.clock.now() < untilMs;
  const releaseId = await cutRelease(tx, {
    projectId: seen.projectId,
    repositoryId: seen.repositoryId,
    commit: seen.commit,
    mixed: false,
    anew: seen.refreshedBy !== null,
    createdBy: seen.refreshedBy ?? seen.author,
    problem: plan.kind === 'artifacts' ? null : waits ? waitingProblem(plan.problem, untilMs) : plan.problem,
    waits,
    services: artifacts.map(({ service, key }) => ({ service, key, commit: seen.commit })),
  });
  const isTold = await isNamedSince(tx, releaseId, seen.ref, seen.seenAtMs);
  await nameRelease(tx, releaseId, seen.ref);
  await beginBuilds(house, tx, inPlannedOrder(artifacts, fresh));
  const settled = await settleRelease(tx, releaseId);
  const { state } = await tx
    .selectFrom('release')
    .select('state')
    .where('id', '=', releaseId)
    .executeTakeFirstOrThrow();
  // after the release: whoever accepts a report locks that before it
  for (const reportId of await reportsWaiting(tx, seen.projectId)) await house.starts.report(tx, reportId);
  const ends = !waits && (await endEvent(tx, eventId));
  if (isTold && !ends) return;
  await recordEvent(tx, {
    projectId: seen.projectId,
    kind: isTold ? 'release.planned' : 'release.cut',
    subject: releaseId,
    data: { ref: seen.ref, commit: seen.commit, state, builds: fresh.length, refreshedBy: seen.refreshedBy },
  });
  if (state !== 'building') await wakeThoseFor(house, tx, releaseId);
  // a refresh that changed nothing of this commit asks for nothing either
  if (state === 'ready' && (seen.refreshedBy === null || settled === 'ready'))
    await house.starts.route(tx, releaseId, seen.ref);
}

/** @returns false when another try, or a newer event, has ended it */
async function endEvent(tx: Tx, eventId: string): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('ref_event')
    .set({ handled_at: new Date() })
    .where('id', '=', eventId)
    .where('handled_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Bases before what is built upon them. */
function inPlannedOrder(artifacts: readonly PlannedArtifact[], keys: readonly string[]): string[] {
  return [...new Set(artifacts.map(({ key }) => key).filter((key) => keys.includes(key)))];
}
