import {
  artifactByKey,
  inputsOf,
  postponeBuild,
  recordBuildFailed,
  recordBuilt,
  type ArtifactRow,
  type BuiltRecord,
} from '../artifact/artifact-store.ts';
import type { BuiltParent } from '../artifact/builder.ts';
import { parentsOf } from '../artifact/parent-store.ts';
import type { Evidence } from '../check/evidence.ts';
import { isDiskFull } from '../lib/disk-full.ts';
import { hasCode, type Problem, problemOf, TowpathError } from '../lib/error.ts';
import { UNDECIDED } from '../path/promotion.ts';
import { awaitRemovals } from '../registry/removal-store.ts';
import { namesOf, recordedNamesOf, releasesWithKey, settleRelease } from '../release/release-store.ts';
import { recordEvent } from '../store/event-store.ts';
import type { Tx } from '../store/database.ts';
import { openLog } from '../store/log-store.ts';
import { askDuringBuild } from './ask.ts';
import { followBuild } from './begin-builds.ts';
import { durable } from './engine/durable.ts';
import { step, transaction } from './engine/step.ts';
import type { House } from './house.ts';
import { sourceOf } from './plan-artifacts.ts';
import { configAt } from './project-config.ts';
import { recordAnswer, stateBuild } from './statements/state.ts';
import { isTransient } from './transient.ts';

type Outcome =
  | { readonly kind: 'built'; readonly built: BuiltRecord; readonly evidence: readonly Evidence[] }
  | { readonly kind: 'failed'; readonly problem: Problem; readonly evidence: readonly Evidence[] };

/** One key is built once; whatever releases wait for it go on, or learn that it failed. */
export function buildFlow(house: House) {
  return durable('build', async ({ key, attempt }: { key: string; attempt: number }) => {
    const retry = { attempts: 5, firstMs: 1000, when: isTransient };
    const giveUp = (problem: Problem): Promise<void> => step('give-up', () => endLog(house, key, problem));
    let outcome: Outcome;
    try {
      const built = await orFailed(
        step('build', ({ signal }) => build(house, key, signal), { retry }),
        giveUp,
      );
      outcome =
        built.kind === 'failed'
          ? built
          : await orFailed(
              step('check', ({ signal }) => check(house, key, built.built, signal), { retry }),
              giveUp,
            );
    } catch (error) {
      if (!saysNotNow(error) || attempt > MOST_ATTEMPTS) throw error;
      await transaction('later', (tx) => buildLater(house, tx, key, attempt));
      return;
    }
    await transaction('record', (tx) => record(house, tx, key, outcome));
  });
}

/** A builder knows neither commit nor service, so it can only speak of its log. */
function withCommands(problem: Problem, artifact: Pick<ArtifactRow, 'builtForCommit' | 'service'>): Problem {
  if (!['buildah.build-failed', 'docker.build-failed'].includes(problem.code)) return problem;
  const again = `\`towpath build ${artifact.builtForCommit.slice(0, 7)}\` builds it again.`;
  return { ...problem, fix: `${logOf(artifact)} shows the step that failed. Fix it and push; ${again}` };
}

function logOf({ builtForCommit, service }: Pick<ArtifactRow, 'builtForCommit' | 'service'>): string {
  return `\`towpath logs ${builtForCommit.slice(0, 7)} ${service}\``;
}

/** What was away for as long as we tried is a failure like others: said in the release, and asked for again with `towpath build`. */
async function orFailed(work: Promise<Outcome>, giveUp: (problem: Problem) => Promise<void>): Promise<Outcome> {
  try {
    return await work;
  } catch (error) {
    if (!isTransient(error) || saysNotNow(error)) throw error;
    const problem = problemOf(error, 'artifact.build-failed');
    await giveUp(problem);
    return { kind: 'failed', problem, evidence: [] };
  }
}

/**
 * Somebody else's registry is away, busy or broken, or a disk is full: there is nothing to mend in what is built, and
 * `towpath build` would not help.
 */
function saysNotNow(error: unknown): boolean {
  return hasCode(error, 'registry.unreachable', 'registry.unavailable', 'registry.throttled') || isDiskFull(error);
}

/** The next try is a row before this one ends; until then the releases are being built, and the log says what is in the way. */
export async function buildLater(
  { starts }: { readonly starts: Pick<House['starts'], 'build'> },
  tx: Tx,
  key: string,
  attempt: number,
): Promise<void> {
  const next = await postponeBuild(tx, key, attempt);
  if (next !== null) await starts.build(tx, key, next, LATER_MS);
}

const LATER_MS = 60_000;
/** So often it is tried again, which takes a day; then it is a failure like others. */
export const MOST_ATTEMPTS = 1440;

/** The last words of a build that failed: who follows its log stops. */
export async function endLog({ store }: Pick<House, 'store'>, key: string, problem: Problem): Promise<void> {
  const log = openLog(store, (await requireArtifact({ store }, key)).logId);
  log.line(`Failed: ${problem.what}`);
  log.line(problem.fix);
  await log.end();
}

async function build(house: House, key: string, signal: AbortSignal): Promise<Outcome> {
  const artifact = await requireArtifact(house, key);
  const log = openLog(house.store, artifact.logId);
  try {
    const { repositoryId, definition } = await definitionOf(house, artifact);
    const { source, builder } = await sourceOf(
      house,
      repositoryId,
      artifact.builtForCommit,
      artifact.service,
      definition,
    );
    log.line(
      `Building ${artifact.service} of ${artifact.builtForCommit.slice(0, 7)} with ${builder.name}: key ${key.slice(0, 12)}.`,
    );
    const began = house.clock.elapsed();
    await awaitRemovals(house.store, [artifact.repository]);
    const made = await builder.build({
      definition: definition.build.definition,
      source,
      platform: house.settings.platform,
      repository: artifact.repository,
      pins: inputsOf(artifact).pins,
      parents: await builtParents(house, key),
      log: log.line,
      signal,
    });
    const took = Math.round(house.clock.elapsed() - began);
    log.line(`Built ${made.digest} in ${(took / 1000).toFixed(1)} s.`);
    const provenance = {
      builder: artifact.builder,
      isolation: made.isolation,
      materials: made.materials,
      commit: artifact.builtForCommit,
      tookMs: took,
    };
    await log.flush(); // its checks go on with it
    return {
      kind: 'built',
      built: { digest: made.digest, mediaType: made.mediaType, sizeBytes: made.sizeBytes, provenance },
      evidence: [],
    };
  } catch (error) {
    const problem = withCommands(problemOf(error, 'artifact.build-failed'), artifact);
    if (isTransient(error) || signal.aborted) {
      log.line(`${problem.what} It is tried again.`);
      await log.flush();
      throw error;
    }
    await log.flush();
    await endLog(house, key, problem);
    return { kind: 'failed', problem, evidence: [] };
  }
}

async function check(house: House, key: string, built: BuiltRecord, signal: AbortSignal): Promise<Outcome> {
  try {
    return await askChecks(house, key, built, signal);
  } catch (error) {
    if (isTransient(error) || signal.aborted) throw error;
    const problem = problemOf(error, 'artifact.check-failed');
    await endLog(house, key, problem);
    return { kind: 'failed', problem, evidence: [] };
  }
}

/** Checks that are asked during the build: one that fails means that there is no artifact. */
async function askChecks(house: House, key: string, built: BuiltRecord, signal: AbortSignal): Promise<Outcome> {
  const artifact = await requireArtifact(house, key);
  const { repositoryId, config } = await definitionOf(house, artifact);
  const log = openLog(house.store, artifact.logId);
  const asked = { artifact, repositoryId, config, digest: built.digest, log: log.line, signal };
  let evidence: readonly Evidence[];
  try {
    evidence = await askDuringBuild(house, asked);
  } finally {
    await log.end();
  }
  const failed = evidence.find(({ answer }) => answer.verdict !== 'passed');
  if (failed === undefined) return { kind: 'built', built, evidence };
  return {
    kind: 'failed',
    problem: {
      code: 'artifact.check-failed',
      what: `the check "${failed.check}" ${failed.answer.verdict === 'failed' ? 'failed' : 'could not be run'}: ${failed.answer.summary}.`,
      fix: `${logOf(artifact)} shows what it said. Fix it and push; \`towpath build ${artifact.builtForCommit.slice(0, 7)}\` asks it again.`,
    },
    evidence,
  };
}

async function record(house: House, tx: Tx, key: string, outcome: Outcome): Promise<void> {
  for (const item of outcome.evidence) await recordAnswer(tx, item);
  if (outcome.kind === 'built') {
    await recordBuilt(tx, key, outcome.built);
    await stateBuild(tx, key);
  } else await recordBuildFailed(tx, key, outcome.problem);
  for (const ended of await followBuild(house, tx, key)) await settleReleases(house, tx, ended);
}

/** The releases of an artifact that was built, or will not be: they go their way or say why not, and who waits looks again. */
export async function settleReleases(
  house: { readonly starts: Pick<House['starts'], 'route' | 'promote'> },
  tx: Tx,
  key: string,
): Promise<void> {
  for (const releaseId of await releasesWithKey(tx, key)) {
    const state = await settleRelease(tx, releaseId);
    if (state === null || state === 'building') continue;
    const release = await tx
      .selectFrom('release')
      .select(['project_id', 'problem'])
      .where('id', '=', releaseId)
      .executeTakeFirstOrThrow();
    await recordEvent(tx, {
      projectId: release.project_id,
      kind: `release.${state}`,
      subject: releaseId,
      data: { problem: release.problem },
    });
    await wakeThoseFor(house, tx, releaseId);
    if (state !== 'ready') continue;
    for (const ref of await namesToRoute(tx, releaseId)) await house.starts.route(tx, releaseId, ref);
  }
}

/** A release that was ready before and comes back asks for what its refs ask for today, not once more for all that they ever did. */
async function namesToRoute(tx: Tx, releaseId: string): Promise<readonly string[]> {
  const all = (await recordedNamesOf(tx, [releaseId])).get(releaseId) ?? [];
  const back = await tx
    .selectFrom('release_service')
    .innerJoin('artifact', 'artifact.key', 'release_service.artifact_key')
    .select('artifact.key')
    .where('release_id', '=', releaseId)
    .where('artifact.given_up_at', 'is not', null)
    .limit(1)
    .executeTakeFirst();
  return back === undefined ? all : ((await namesOf(tx, [releaseId])).get(releaseId) ?? []);
}

/** Somebody may have asked for the release while it was being built. */
export async function wakeThoseFor(
  house: { readonly starts: Pick<House['starts'], 'promote'> },
  tx: Tx,
  releaseId: string,
): Promise<void> {
  const rows = await tx
    .selectFrom('promotion')
    .select('id')
    .where('release_id', '=', releaseId)
    .where('ended_at', 'is', null)
    .where('state', 'in', UNDECIDED)
    .orderBy('id')
    .execute();
  for (const { id } of rows) await house.starts.promote(tx, id);
}

/** They were built before this build began. */
async function builtParents(house: House, key: string): Promise<Record<string, BuiltParent>> {
  const parents = await parentsOf(house.store.db, key);
  return Object.fromEntries(
    parents.flatMap(({ name, repository, digest }) =>
      digest === null ? [] : [[name, { repository, digest }] as const],
    ),
  );
}

async function requireArtifact({ store }: Pick<House, 'store'>, key: string): Promise<ArtifactRow> {
  const artifact = await artifactByKey(store.db, key);
  if (artifact !== null) return artifact;
  throw new TowpathError({
    code: 'artifact.unknown',
    what: `There is no artifact with the key ${key}.`,
    fix: 'Push the commit again.',
  });
}

async function definitionOf(house: House, artifact: ArtifactRow) {
  const repository = await house.store.db
    .selectFrom('release')
    .innerJoin('release_service', 'release_service.release_id', 'release.id')
    .select('release.repository_id')
    .where('release_service.artifact_key', '=', artifact.key)
    .where('release_service.commit_sha', '=', artifact.builtForCommit)
    .executeTakeFirstOrThrow();
  const config = await configAt(house, repository.repository_id, artifact.builtForCommit);
  const definition = config.services[artifact.service];
  if (definition !== undefined) return { repositoryId: repository.repository_id, config, definition };
  throw new TowpathError({
    code: 'artifact.unknown',
    what: `Commit ${artifact.builtForCommit.slice(0, 7)} has no service "${artifact.service}".`,
    fix: 'Push the commit again.',
  });
}
