import { type EnvironmentRow, environmentById, setHold } from '../environment/environment-store.ts';
import { recordLive } from '../environment/tenure-store.ts';
import { enterLane, inLane, leaveLane } from '../environment/lane-store.ts';
import { type Problem, problemOf } from '../lib/error.ts';
import type { PathEnvironment } from '../path/path.ts';
import { decidePromotion, type Decision } from '../path/policy.ts';
import {
  lockPromotion,
  movePromotion,
  openPromotions,
  type Promotion,
  promotionById,
} from '../path/promotion-store.ts';
import { isWorking, type PromotionDetail, type PromotionState } from '../path/promotion.ts';
import { applyTags, planTags } from '../registry/image-names.ts';
import { keepTag } from '../registry/keep-tag.ts';
import type { Release } from '../release/release.ts';
import { releaseById } from '../release/release-store.ts';
import { yankRelease } from '../release/yank-store.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import { deployRelease, verifyRelease, type Watched } from './deploy-release.ts';
import { durable } from './engine/durable.ts';
import { step, transaction } from './engine/step.ts';
import { definitionOf, gather } from './gather.ts';
import type { House } from './house.ts';
import { supersede } from './supersede.ts';
import { isTransient } from './transient.ts';
import { wake, wakeFollowers } from './wake.ts';

/** What a run knows of the place that it works in. Plain JSON: it is written down between the steps. */
interface Turn {
  readonly promotionId: string;
  readonly environmentId: string;
  readonly releaseId: string;
  readonly previousReleaseId: string | null;
  readonly automatic: boolean;
  readonly stepsBack: boolean;
}

/**
 * One look at a promotion: it is refused, it waits (a row, and this run ends), or it moves in. The order of commits is
 * looked at again under the lane, and everything that touches the target runs in the lane with a fencing token.
 */
export function promoteFlow(house: House) {
  const retry = { attempts: 5, firstMs: 500, when: isTransient };
  return durable('promote', async ({ promotionId, run }: { promotionId: string; run: number }) => {
    await transaction('open', (tx) => open(house, tx, promotionId));
    let turn: Turn | null;
    try {
      const looked = await step('look', () => look(house, promotionId), { retry });
      if (looked === null) return;
      turn = await transaction('decide', (tx) => decide(house, tx, { promotionId, run, looked }));
    } catch (error) {
      // nothing was touched: it is looked at again in a while, and says until then what stood in its way
      await transaction('not-seen', (tx) => waitForSight(house, tx, promotionId, problemOf(error)));
      return;
    }
    if (turn === null) return;
    try {
      await step('tag', () => tagEnvironment(house, turn), { retry });
      if (!(await transaction('begin', (tx) => moved(house, tx, promotionId, 'deploying'))))
        return await giveBack(house, turn);
      await step('deploy', ({ signal }) => deployIn(house, turn, turn.releaseId, promotionId, signal), { retry });
      if (!(await transaction('watch', (tx) => moved(house, tx, promotionId, 'verifying'))))
        return await giveBack(house, turn);
      const watched = await step('verify', ({ signal }) => verifyIn(house, turn, turn.releaseId, promotionId, signal), {
        retry,
      });
      await transaction('live', (tx) => live(house, tx, turn, watched));
    } catch (error) {
      await recover(house, turn, problemOf(error), retry);
    }
  });
}

/** The first look is told; later ones leave a waiting promotion waiting until there is something new to say. */
async function open(house: House, tx: Tx, promotionId: string): Promise<void> {
  const promotion = await lockPromotion(tx, promotionId);
  if (promotion?.state === 'requested') await move(house, tx, promotionId, { to: 'evaluating' });
}

type Looked = { readonly decision: Decision; readonly currentReleaseId: string | null; readonly stepsBack: boolean };

async function look(house: House, promotionId: string): Promise<Looked | null> {
  const promotion = await promotionById(house.store.db, promotionId);
  if (promotion === null || promotion.endedAt !== null) return null;
  const { facts, currentReleaseId, definition } = await gather(house, promotion);
  const stepsBack =
    (promotion.kind === 'rollback' && !promotion.automatic) ||
    (promotion.kind === 'promotion' &&
      definition.accepts === 'path' &&
      (facts.order === 'older' || facts.order === 'diverged'));
  return { decision: decidePromotion(facts), currentReleaseId, stepsBack };
}

/** Writes the decision down; a `go` takes the lane in the same transaction, or waits for it. */
async function decide(
  house: House,
  tx: Tx,
  { promotionId, run, looked }: { promotionId: string; run: number; looked: Looked },
): Promise<Turn | null> {
  const currentReleaseId = await lockEnvironmentOf(tx, promotionId);
  const promotion = await lockPromotion(tx, promotionId);
  // another look was faster, and it moves in or has ended
  if (promotion === null || promotion.endedAt !== null || isWorking(promotion.state)) return null;
  const { decision } = looked;
  if (decision.kind === 'refuse') {
    await move(house, tx, promotionId, { to: 'refused', detail: { reasons: decision.reasons } });
    return null;
  }
  if (await supersede(house, tx, promotion)) return null;
  if (decision.kind === 'wait') {
    await move(house, tx, promotionId, {
      to: 'waiting',
      detail: { reasons: decision.reasons },
      ...(decision.wakeAtMs === undefined ? {} : { wakeAtMs: decision.wakeAtMs }),
    });
    for (const check of decision.checks) await house.starts.check(tx, promotion.releaseId, check);
    return null;
  }
  if (await mustWaitForOthers(tx, promotion)) return waitForLane(house, tx, promotion);
  const lane = await enterLane(tx, promotion.environmentId, promotion.id);
  if (lane.kind === 'taken') return waitForLane(house, tx, promotion);
  if (currentReleaseId !== looked.currentReleaseId) {
    // somebody moved in between the look and the lane: look again, now that it is ours to wait for
    await leaveLane(tx, promotion.environmentId, promotion.id);
    return waitForLane(house, tx, promotion);
  }
  await move(house, tx, promotionId, {
    to: 'tagging',
    token: lane.token,
    run,
    ...(looked.currentReleaseId === null ? {} : { previousReleaseId: looked.currentReleaseId }),
  });
  return {
    promotionId,
    environmentId: promotion.environmentId,
    releaseId: promotion.releaseId,
    previousReleaseId: looked.currentReleaseId,
    automatic: promotion.automatic,
    stepsBack: looked.stepsBack,
  };
}

/**
 * Locks the environment before any promotion in it: everybody takes these locks in this order.
 * @returns what runs there
 */
async function lockEnvironmentOf(tx: Tx, promotionId: string): Promise<string | null> {
  const row = await tx
    .selectFrom('environment')
    .innerJoin('promotion', 'promotion.environment_id', 'environment.id')
    .select('environment.current_release_id')
    .where('promotion.id', '=', promotionId)
    .forUpdate('environment')
    .executeTakeFirst();
  return row?.current_release_id ?? null;
}

/**
 * One works at a time, and keeps its place while its worker is being replaced, however long that takes: the lane's time
 * alone would let another slip in between. A rollback that waits goes before everything else.
 */
async function mustWaitForOthers(tx: Tx, promotion: Promotion): Promise<boolean> {
  const others = (await openPromotions(tx, [promotion.environmentId])).filter(({ id }) => id !== promotion.id);
  return others.some(({ kind, state }) => isWorking(state) || (kind === 'rollback' && promotion.kind !== 'rollback'));
}

/** What it is decided from could not be read (the repository is away, say). */
async function waitForSight(house: House, tx: Tx, promotionId: string, problem: Problem): Promise<void> {
  const promotion = await lockPromotion(tx, promotionId);
  if (promotion === null || promotion.endedAt !== null || isWorking(promotion.state)) return;
  await move(house, tx, promotionId, {
    to: 'waiting',
    detail: { reasons: [{ gate: 'facts', what: `It could not be decided: ${problem.what}`, fix: problem.fix }] },
    wakeAtMs: house.clock.now() + SIGHT_WAIT_MS,
  });
}

const SIGHT_WAIT_MS = 30_000;

/** The holder wakes those who wait when it leaves; the clock is there for the case that it dies. */
async function waitForLane(house: House, tx: Tx, promotion: Promotion): Promise<null> {
  await move(house, tx, promotion.id, {
    to: 'waiting',
    detail: {
      reasons: [{ gate: 'lock', what: 'Another change is under way there; this one goes on when that is done.' }],
    },
    wakeAtMs: house.clock.now() + LANE_WAIT_MS,
  });
  return null;
}

const LANE_WAIT_MS = 1000;

/** `env-<environment>` moves to what is about to run, and a name of its own keeps the release for a rollback. */
async function tagEnvironment(house: House, turn: Turn): Promise<void> {
  const { environment, release } = await placeOf(house, turn, turn.releaseId);
  const plans = release.services.flatMap(({ repository, digest }) =>
    digest === null
      ? []
      : [
          ...planTags(repository, digest, [{ kind: 'environment', environment: environment.name }]),
          { repository, digest, tag: keepTag(environment.slug, release.number), moves: false },
        ],
  );
  await applyTags(plans, house.registry);
}

async function deployIn(
  house: House,
  turn: Turn,
  releaseId: string,
  operation: string,
  signal: AbortSignal,
): Promise<void> {
  const { environment, release, definition } = await placeOf(house, turn, releaseId);
  await inLane(
    { store: house.store, environmentId: turn.environmentId, holder: turn.promotionId, signal },
    (laneSignal, token) =>
      deployRelease(house, {
        environment,
        definition,
        release,
        operation,
        signal: laneSignal,
        token,
        promotionId: turn.promotionId,
      }),
  );
}

async function verifyIn(
  house: House,
  turn: Turn,
  releaseId: string,
  operation: string,
  signal: AbortSignal,
): Promise<Watched> {
  const { environment, release, definition } = await placeOf(house, turn, releaseId);
  return inLane(
    { store: house.store, environmentId: turn.environmentId, holder: turn.promotionId, signal },
    (laneSignal, token) =>
      verifyRelease(house, {
        environment,
        definition,
        release,
        operation,
        signal: laneSignal,
        token,
        promotionId: turn.promotionId,
      }),
  );
}

async function live(house: House, tx: Tx, turn: Turn, watched: Watched): Promise<void> {
  const promotion = await move(house, tx, turn.promotionId, { to: 'live', detail: { note: watched.note } });
  if (promotion !== null) {
    await recordLive(tx, {
      environmentId: turn.environmentId,
      releaseId: turn.releaseId,
      promotionId: turn.promotionId,
      services: watched.services,
    });
    if (turn.stepsBack) await holdAfterStepBack(tx, promotion, house);
    await wakeFollowers(house, tx, turn.environmentId);
  }
  await leave(house, tx, turn);
}

/** Invariant 5: a deliberate step back sets a hold, so that nothing newer moves in by itself. */
async function holdAfterStepBack(tx: Tx, promotion: Promotion, house: House): Promise<void> {
  const what = promotion.kind === 'rollback' ? 'rolled back' : 'stepped back to an older release';
  await setHold(tx, promotion.environmentId, {
    reason: `${what} (promotion ${promotion.number}: ${promotion.cause})`,
    by: promotion.requestedBy,
    since: new Date(house.clock.now()).toISOString(),
  });
}

/** Something failed after the decision: the environment's own rule says what becomes of it. */
async function recover(
  house: House,
  turn: Turn,
  problem: Problem,
  retry: { attempts: number; firstMs: number; when: (error: unknown) => boolean },
): Promise<void> {
  const plan = await transaction('fail', (tx) => planRecovery(house, tx, turn, problem));
  if (plan === null) return;
  const operation = `${turn.promotionId}-back`;
  try {
    await step('restore', ({ signal }) => deployIn(house, turn, plan.to, operation, signal), { retry });
    const watched = await step('verify-restored', ({ signal }) => verifyIn(house, turn, plan.to, operation, signal), {
      retry,
    });
    await step('tag-restored', () => tagEnvironment(house, { ...turn, releaseId: plan.to }), { retry });
    await transaction('restored', (tx) => restored(house, tx, turn, plan, problem, watched));
  } catch (error) {
    await transaction('lost', (tx) => lost(house, tx, turn, problem, problemOf(error)));
  }
}

interface Recovery {
  readonly to: string;
  readonly name: string;
  readonly step: string;
}

async function planRecovery(house: House, tx: Tx, turn: Turn, problem: Problem): Promise<Recovery | null> {
  const promotion = await promotionById(tx, turn.promotionId);
  if (promotion === null || promotion.endedAt !== null) {
    await leave(house, tx, turn);
    return null;
  }
  const { definition, environment } = await placeOf(house, turn, turn.releaseId);
  const step = promotion.state;
  await told(tx, promotion, 'promotion.broke', { step, problem });
  if (definition.onFailure.yank && promotion.kind === 'promotion') {
    const reason = `failed in ${environment.name}: ${problem.what}`;
    if (await yankRelease(tx, turn.releaseId, reason, 'towpath'))
      await told(tx, promotion, 'release.yanked', { reason });
  }
  const previous = turn.previousReleaseId === null ? null : await releaseById(tx, turn.previousReleaseId);
  if (
    definition.onFailure.action === 'rollback' &&
    previous !== null &&
    previous.fingerprint !== (await releaseById(tx, turn.releaseId))?.fingerprint
  ) {
    return { to: previous.id, name: `#${previous.number} (${previous.commit.slice(0, 7)})`, step };
  }
  if (definition.onFailure.action !== 'keep') await holdAfterFailure(house, tx, promotion, problem);
  const note = previous === null ? 'Nothing ran there before that could be put back.' : undefined;
  await move(house, tx, turn.promotionId, {
    to: 'failed',
    detail: { step, problem, ...(note === undefined ? {} : { note }) },
  });
  await leave(house, tx, turn);
  return null;
}

async function restored(
  house: House,
  tx: Tx,
  turn: Turn,
  plan: Recovery,
  problem: Problem,
  watched: Watched,
): Promise<void> {
  const promotion = await move(house, tx, turn.promotionId, {
    to: 'rolled-back',
    detail: { step: plan.step, problem, to: plan.name },
  });
  if (promotion !== null) {
    await holdAfterFailure(house, tx, promotion, problem);
    const environment = await tx
      .selectFrom('environment')
      .select('current_promotion_id')
      .where('id', '=', turn.environmentId)
      .executeTakeFirstOrThrow();
    await recordLive(tx, {
      environmentId: turn.environmentId,
      releaseId: plan.to,
      promotionId: environment.current_promotion_id ?? turn.promotionId,
      services: watched.services,
    });
    await wakeFollowers(house, tx, turn.environmentId);
  }
  await leave(house, tx, turn);
}

/** The way back failed too: say so loudly, hold, and leave the rest to a person. */
async function lost(house: House, tx: Tx, turn: Turn, problem: Problem, second: Problem): Promise<void> {
  const note = `Rolling back failed as well: ${second.what}`;
  const promotion = await move(house, tx, turn.promotionId, {
    to: 'failed',
    detail: { step: 'rollback', problem, note },
  });
  if (promotion !== null) await holdAfterFailure(house, tx, promotion, { ...problem, what: `${problem.what} ${note}` });
  await leave(house, tx, turn);
}

/** A preview follows its branch, so the next push is its author's answer; the artifacts that failed are barred there anyway. */
async function holdAfterFailure(house: House, tx: Tx, promotion: Promotion, problem: Problem): Promise<void> {
  if ((await environmentById(tx, promotion.environmentId)).previewBranch !== null) return;
  await setHold(tx, promotion.environmentId, {
    reason: `promotion ${promotion.number} failed: ${problem.what}`,
    by: 'towpath',
    since: new Date(house.clock.now()).toISOString(),
  });
}

/** The promotion ended while this run was at work (cancelled, pre-empted): only the lane is left to give back. */
async function giveBack(house: House, turn: Turn): Promise<void> {
  await transaction('give-back', (tx) => leave(house, tx, turn));
}

/** Leaves the lane and wakes whoever waits, the newest last so that it decides. */
async function leave(house: House, tx: Tx, turn: Turn): Promise<void> {
  await leaveLane(tx, turn.environmentId, turn.promotionId);
  await wake(house, tx, turn.environmentId);
}

/** @returns false when it ended meanwhile: cancelled, or pushed aside by a rollback */
async function moved(house: House, tx: Tx, promotionId: string, to: PromotionState): Promise<boolean> {
  return (await move(house, tx, promotionId, { to })) !== null;
}

async function move(
  house: House,
  tx: Tx,
  promotionId: string,
  to: Parameters<typeof movePromotion>[2],
): Promise<Promotion | null> {
  const promotion = await movePromotion(tx, promotionId, to);
  if (promotion !== null) await told(tx, promotion, `promotion.${promotion.state}`, { detail: to.detail ?? {} });
  return promotion;
}

async function told(
  tx: Tx,
  promotion: Promotion,
  kind: string,
  data: { detail?: PromotionDetail } & Record<string, unknown>,
): Promise<void> {
  await recordEvent(tx, {
    projectId: promotion.projectId,
    kind,
    subject: promotion.id,
    data: { ...data, environment: promotion.environmentId, release: promotion.releaseId },
  });
}

interface Place {
  readonly environment: EnvironmentRow;
  readonly definition: PathEnvironment;
  readonly release: Release;
}

async function placeOf(house: House, turn: Turn, releaseId: string): Promise<Place> {
  const environment = await environmentById(house.store.db, turn.environmentId);
  const release = await releaseById(house.store.db, releaseId);
  if (release === null) throw new Error(`The release ${releaseId} is gone.`);
  return { environment, definition: definitionOf(environment), release };
}
