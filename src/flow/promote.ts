import { environmentById, lockEnvironment, setHold } from '../environment/environment-store.ts';
import { endings } from '../environment/ending-store.ts';
import { enterLane, holderOf, leaveLane } from '../environment/lane-store.ts';
import { hasCode, type Problem, problemOf } from '../lib/error.ts';
import { decidePromotion, type Decision } from '../path/policy.ts';
import { openPromotions } from '../path/promotion-list-store.ts';
import { lockPromotion, type Promotion, promotionById } from '../path/promotion-store.ts';
import { isWorking, type PromotionState, type Reason } from '../path/promotion.ts';
import { requireHead, requireRelease } from '../release/release-store.ts';
import type { Tx } from '../store/database.ts';
import { deployRelease, verifyRelease, type Watched } from './deploy-release.ts';
import { isCancelled } from './engine/cancelled.ts';
import { durable } from './engine/durable.ts';
import { type Retry, step, transaction } from './engine/step.ts';
import { targetOf } from './desired.ts';
import { definitionOf, type Gathered, gather } from './gather.ts';
import type { House } from './house.ts';
import { move } from './move.ts';
import { holdAfterFailure, recover } from './recover.ts';
import { stopIfEnded } from './stop-ended.ts';
import { type Policy, policyOf, statePolicy } from './statements/policy.ts';
import { supersede } from './supersede.ts';
import { isTransient } from './transient.ts';
import { leave, prepare, recordRunning, type Turn, workInLane } from './turn.ts';
import { wake } from './wake.ts';
import { whyWithdrawn } from './withdraw.ts';

/**
 * One look at a promotion: it is refused, it waits (a row, and this run ends), or it moves in. The order of commits is
 * looked at again under the lane, and everything that touches the target runs in the lane with a fencing token.
 */
export function promoteFlow(house: House) {
  const retry: Retry = { attempts: 8, firstMs: 250, when: isPassing };
  return durable('promote', async ({ promotionId, run }: { promotionId: string; run: number }) => {
    await transaction('open', (tx) => open(tx, promotionId));
    let turn: Turn | null;
    try {
      const looked = await step('look', () => look(house, promotionId), { retry });
      if (looked === null) return;
      turn = await transaction('decide', (tx) => decide(house, tx, { promotionId, run, looked }));
    } catch (error) {
      // nothing was touched: it is looked at again in a while, and says until then what stood in its way
      await transaction('not-seen', (tx) => waitForSight(house, tx, { promotionId, run }, problemOf(error)));
      return;
    }
    if (turn === null) return;
    try {
      await moveIn(house, turn, retry).catch((error: unknown) => recover(house, turn, problemOf(error), retry));
    } catch (error) {
      // no later step will come to leave the lane, and somebody waits for it
      if (isCancelled(error)) await house.store.transaction((tx) => leave(house, tx, turn));
      throw error;
    }
  });
}

/** A lane that was lost while Postgres was away is entered again; a server that was away is waited for, half a minute. */
function isPassing(error: unknown): boolean {
  return isTransient(error) || hasCode(error, 'lane.lost', 'lane.taken');
}

/** Brings the release in and watches it; whoever ended the promotion meanwhile is heard between the steps too. */
async function moveIn(house: House, turn: Turn, retry: Retry): Promise<void> {
  const load = { releaseId: turn.releaseId, operation: turn.promotionId };
  await step('tag', ({ signal }) => prepare(house, turn, load, signal), { retry });
  if (!(await transaction('begin', (tx) => moved(tx, turn, 'deploying')))) return giveBack(house, turn);
  await step('deploy', ({ signal }) => workInLane(house, turn, load, signal, deployRelease), { retry });
  if (!(await transaction('watch', (tx) => moved(tx, turn, 'verifying')))) return giveBack(house, turn);
  const watched = await step('verify', ({ signal }) => workInLane(house, turn, load, signal, verifyRelease), { retry });
  await transaction('live', (tx) => live(house, tx, turn, watched));
}

/** The first look is told; later ones leave a waiting promotion waiting until there is something new to say. */
async function open(tx: Tx, promotionId: string): Promise<void> {
  const promotion = await lockPromotion(tx, promotionId);
  if (promotion?.state === 'requested') await move(tx, promotionId, { to: 'evaluating' });
}

type Looked = {
  readonly decision: Decision;
  readonly policy: Policy | null;
  /** Another that is at work there, and waits for people to do something. */
  readonly waits: { readonly holder: string; readonly what: string } | null;
} & Pick<Turn, 'stepsBack' | 'circumstances'> &
  Pick<Gathered, 'currentReleaseId'>;

async function look(house: House, promotionId: string): Promise<Looked | null> {
  const promotion = await promotionById(house.store.db, promotionId);
  if (promotion === null || promotion.endedAt !== null) return null;
  const holder = await holderOf(house.store.db, promotion.environmentId);
  if (holder !== null) await stopIfEnded(house, holder);
  const release = await requireRelease(house.store.db, promotion.releaseId);
  const gathered = await gather(house, promotion, release);
  const { facts, currentReleaseId, circumstances, definition } = gathered;
  const stepsBack =
    (promotion.kind === 'rollback' && !promotion.automatic) ||
    (promotion.kind === 'promotion' &&
      definition.accepts === 'path' &&
      (facts.order === 'older' || facts.order === 'diverged'));
  const policy = await policyOf(house.store.db, gathered, release);
  const waits = holder === null || holder === promotionId ? null : await waitOf(house, promotion.environmentId, holder);
  return { decision: decidePromotion(facts), policy, waits, currentReleaseId, circumstances, stepsBack };
}

async function waitOf(house: House, environmentId: string, holder: string): Promise<Looked['waits']> {
  const environment = await environmentById(house.store.db, environmentId);
  const driver = house.drivers.get(definitionOf(environment).deploy.driver);
  const what = await driver?.waitsFor?.(await targetOf(house, environment));
  return what === undefined || what === null ? null : { holder, what };
}

/** Writes the decision down; a `go` takes the lane in the same transaction, or waits for it. */
async function decide(
  house: House,
  tx: Tx,
  { promotionId, run, looked }: { promotionId: string; run: number; looked: Looked },
): Promise<Turn | null> {
  const asked = await promotionById(tx, promotionId);
  if (asked === null) return null;
  const { currentReleaseId, removedAt } = await lockEnvironment(tx, asked.environmentId);
  const promotion = await lockPromotion(tx, promotionId);
  if (promotion === null || promotion.endedAt !== null || isWorking(promotion.state)) return null;
  // a fact has changed since this look began, and a newer look was asked for with it: that one decides
  if (promotion.runs > run) return null;
  if (removedAt !== null) {
    await move(tx, promotionId, { to: 'cancelled', detail: { by: 'the end of its environment' } });
    return null;
  }
  const { decision } = looked;
  if (looked.policy) await statePolicy(tx, promotion, looked.policy);
  if (decision.kind === 'refuse') {
    const refused = await move(tx, promotionId, { to: 'refused', detail: { reasons: decision.reasons } });
    if (refused?.kind === 'rollback' && refused.automatic) await holdUnrestored(house, tx, refused, decision.reasons);
    return null;
  }
  const withdrawn = await whyWithdrawn(house, tx, promotion);
  if (withdrawn !== null) {
    await move(tx, promotionId, { to: 'cancelled', detail: { reasons: withdrawn } });
    return null;
  }
  const yields = decision.kind === 'go' ? (looked.waits?.holder ?? null) : null;
  if (await supersede(house, tx, promotion, yields)) return null;
  if (decision.kind === 'wait') {
    await move(tx, promotionId, {
      to: 'waiting',
      detail: { reasons: decision.reasons },
      ...(decision.wakeAtMs === undefined ? {} : { wakeAtMs: decision.wakeAtMs }),
    });
    for (const wanted of decision.checks)
      await house.starts.check(tx, promotion.releaseId, wanted, promotion.environmentId);
    return null;
  }
  if ((await endings(tx, promotion.environmentId)).length > 0) return waitForEnd(house, tx, promotion);
  if (await mustWaitForOthers(tx, promotion)) return waitForLane(house, tx, promotion, looked.waits?.what);
  const lane = await enterLane(tx, promotion.environmentId, promotion.id);
  if (lane.kind === 'taken') return waitForLane(house, tx, promotion);
  const { yank, state } = await requireHead(tx, promotion.releaseId);
  if (currentReleaseId !== looked.currentReleaseId || yank !== null || state !== 'ready') {
    // somebody moved in, or barred it, or its artifacts were given up, between the look and the lane: look again, now that it is ours to wait for
    await leaveLane(tx, promotion.environmentId, promotion.id);
    return waitForLane(house, tx, promotion);
  }
  await move(tx, promotionId, {
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
    circumstances: looked.circumstances,
  };
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
async function waitForSight(
  house: House,
  tx: Tx,
  { promotionId, run }: { promotionId: string; run: number },
  problem: Problem,
): Promise<void> {
  const promotion = await lockPromotion(tx, promotionId);
  if (promotion === null || promotion.endedAt !== null || isWorking(promotion.state) || promotion.runs > run) return;
  await move(tx, promotionId, {
    to: 'waiting',
    detail: { reasons: [{ gate: 'facts', what: `It could not be decided: ${problem.what}`, fix: problem.fix }] },
    wakeAtMs: house.clock.now() + SIGHT_WAIT_MS,
  });
}

const SIGHT_WAIT_MS = 30_000;

/** The holder wakes those who wait when it leaves; the clock is there for the case that it dies. */
async function waitForLane(house: House, tx: Tx, promotion: Promotion, waitsFor?: string): Promise<null> {
  const under = waitsFor === undefined ? 'is under way there' : `is under way there and waits for ${waitsFor}`;
  await move(tx, promotion.id, {
    to: 'waiting',
    detail: {
      reasons: [{ gate: 'lock', what: `Another change ${under}; this one goes on when that is done.` }],
    },
    wakeAtMs: house.clock.now() + LANE_WAIT_MS,
  });
  return null;
}

const LANE_WAIT_MS = 1000;

/** What is to be empty takes nothing in: whoever empties it wakes those who wait. */
async function waitForEnd(house: House, tx: Tx, promotion: Promotion): Promise<null> {
  const what = 'What runs there is being taken down; this one goes on when that is done.';
  const fix = '`towpath resume` calls a stop off.';
  await move(tx, promotion.id, {
    to: 'waiting',
    detail: { reasons: [{ gate: 'stop', what, fix }] },
    wakeAtMs: house.clock.now() + SIGHT_WAIT_MS,
  });
  return null;
}

async function live(house: House, tx: Tx, turn: Turn, watched: Watched): Promise<void> {
  await lockEnvironment(tx, turn.environmentId);
  const promotion = await move(tx, turn.promotionId, { to: 'live', detail: { note: watched.note } });
  if (promotion !== null) {
    await recordRunning(house, tx, turn, watched, turn);
    if (turn.stepsBack) await holdAfterStepBack(tx, promotion, house);
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

/** What was left half way stays so: nothing moves in by itself before somebody has looked. */
async function holdUnrestored(house: House, tx: Tx, refused: Promotion, reasons: readonly Reason[]): Promise<void> {
  await holdAfterFailure(house, tx, refused, {
    code: 'promotion.not-restored',
    what: `what ran before could not be put back: ${reasons.map(({ what }) => what).join(' ')}`,
    fix: 'Roll back to another release, or promote one.',
  });
  await wake(house, tx, refused.environmentId);
}

/** The promotion ended while this run was at work (cancelled, pre-empted): only the lane is left to give back. */
async function giveBack(house: House, turn: Turn): Promise<void> {
  await transaction('give-back', (tx) => leave(house, tx, turn));
}

/** @returns false when it ended meanwhile: cancelled, or pushed aside by a rollback */
async function moved(tx: Tx, { promotionId }: Turn, to: PromotionState): Promise<boolean> {
  return (await move(tx, promotionId, { to })) !== null;
}
