import { environmentById, lockEnvironment, setHold } from '../environment/environment-store.ts';
import { type Problem, problemOf } from '../lib/error.ts';
import { blamesArtifacts } from '../path/blame.ts';
import { type Promotion, promotionById } from '../path/promotion-store.ts';
import { releaseById } from '../release/release-store.ts';
import type { Tx } from '../store/database.ts';
import { deployRelease, verifyRelease, type Watched } from './deploy-release.ts';
import { type Retry, step, transaction } from './engine/step.ts';
import type { House } from './house.ts';
import { move, tell } from './move.ts';
import { leave, placeOf, recordRunning, tagEnvironment, type Turn, workInLane } from './turn.ts';
import { yank } from './yank.ts';

interface Recovery {
  readonly to: string;
  readonly name: string;
  readonly step: string;
}

/** Something failed after the decision: the environment's own rule says what becomes of it. */
export async function recover(house: House, turn: Turn, problem: Problem, retry: Retry): Promise<void> {
  const plan = await transaction('fail', (tx) => planRecovery(house, tx, turn, problem));
  if (plan === null) return;
  const load = { releaseId: plan.to, operation: `${turn.promotionId}-back` };
  try {
    await step('restore', ({ signal }) => workInLane(house, turn, load, signal, deployRelease), { retry });
    const watched = await step(
      'verify-restored',
      ({ signal }) => workInLane(house, turn, load, signal, verifyRelease),
      { retry },
    );
    await step('tag-restored', () => tagEnvironment(house, turn, load), { retry });
    await transaction('restored', (tx) => restored(house, tx, turn, plan, problem, watched));
  } catch (error) {
    await transaction('lost', (tx) => lost(house, tx, turn, problem, problemOf(error)));
  }
}

async function planRecovery(house: House, tx: Tx, turn: Turn, problem: Problem): Promise<Recovery | null> {
  await lockEnvironment(tx, turn.environmentId);
  const promotion = await promotionById(tx, turn.promotionId);
  if (promotion === null || promotion.endedAt !== null) {
    await leave(house, tx, turn);
    return null;
  }
  const { definition, environment, release } = await placeOf(house, turn, turn.releaseId);
  const step = promotion.state;
  await tell(tx, promotion, 'promotion.broke', { step, problem });
  if (definition.onFailure.yank && blamesArtifacts(problem) && promotion.kind === 'promotion') {
    const reason = `failed in ${environment.name}: ${problem.what}`;
    await yank(house, tx, release, { reason, by: 'towpath', failed: promotion.id });
  }
  const previous = turn.previousReleaseId === null ? null : await releaseById(tx, turn.previousReleaseId);
  if (definition.onFailure.action === 'rollback' && previous !== null && previous.fingerprint !== release.fingerprint) {
    return { to: previous.id, name: `#${previous.number} (${previous.commit.slice(0, 7)})`, step };
  }
  if (definition.onFailure.action !== 'keep') await holdAfterFailure(house, tx, promotion, problem);
  const note = previous === null ? 'Nothing ran there before that could be put back.' : undefined;
  await move(tx, turn.promotionId, {
    to: 'failed',
    detail: { step, problem, ...(note === undefined ? {} : { note }) },
    ...blame(turn, problem),
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
  const { currentPromotionId } = await lockEnvironment(tx, turn.environmentId);
  const promotion = await move(tx, turn.promotionId, {
    to: 'rolled-back',
    detail: { step: plan.step, problem, to: plan.name },
    ...blame(turn, problem),
  });
  if (promotion !== null) {
    await holdAfterFailure(house, tx, promotion, problem);
    const promotionId = currentPromotionId ?? turn.promotionId;
    await recordRunning(house, tx, turn, watched, { releaseId: plan.to, promotionId });
  }
  await leave(house, tx, turn);
}

/** Artifacts that ran and failed are barred under what they ran under; a failure of their surroundings bars nothing. */
function blame({ circumstances }: Turn, problem: Problem): { failedUnder?: string } {
  return blamesArtifacts(problem) ? { failedUnder: circumstances } : {};
}

/** The way back failed too: say so loudly, hold, and leave the rest to a person. */
async function lost(house: House, tx: Tx, turn: Turn, problem: Problem, second: Problem): Promise<void> {
  await lockEnvironment(tx, turn.environmentId);
  const note = `Rolling back failed as well: ${second.what}`;
  const promotion = await move(tx, turn.promotionId, {
    to: 'failed',
    detail: { step: 'rollback', problem, note },
    ...blame(turn, problem),
  });
  if (promotion !== null) await holdAfterFailure(house, tx, promotion, { ...problem, what: `${problem.what} ${note}` });
  await leave(house, tx, turn);
}

/** A preview follows its branch, so the next push is its author's answer; the artifacts that failed are barred there anyway. */
export async function holdAfterFailure(
  { clock }: Pick<House, 'clock'>,
  tx: Tx,
  promotion: Promotion,
  problem: Problem,
): Promise<void> {
  if ((await environmentById(tx, promotion.environmentId)).previewBranch !== null) return;
  await setHold(tx, promotion.environmentId, {
    reason: `promotion ${promotion.number} failed: ${problem.what}`,
    by: 'towpath',
    since: new Date(clock.now()).toISOString(),
  });
}
