import { environmentById, lockEnvironment, setHold } from '../environment/environment-store.ts';
import { type Problem, problemOf } from '../lib/error.ts';
import { blamesArtifacts } from '../path/blame.ts';
import { type Promotion, promotionById } from '../path/promotion-store.ts';
import type { PromotionDetail } from '../path/promotion.ts';
import type { Release } from '../release/release.ts';
import { releaseById } from '../release/release-store.ts';
import type { Tx } from '../store/database.ts';
import { copyRelease } from './copies.ts';
import { deployRelease, type Deployment, verifyRelease, type Watched } from './deploy-release.ts';
import { type Retry, step, transaction } from './engine/step.ts';
import type { House } from './house.ts';
import { move, tell } from './move.ts';
import { leave, type Load, placeOf, recordRunning, tagEnvironment, type Turn, workInLane } from './turn.ts';
import { yank } from './yank.ts';

interface Recovery {
  /** The release that is put back. */
  readonly to: string;
  readonly name: string;
  readonly step: string;
  /** It failed before anything on the target was touched: what ran before runs, and only names go back. */
  readonly untouched: boolean;
  /** What is said and done where nothing was touched. */
  readonly after: Untouched;
}

/** Something failed after the decision: the environment's own rule says what becomes of it. */
export async function recover(house: House, turn: Turn, problem: Problem, retry: Retry): Promise<void> {
  const plan = await transaction('fail', (tx) => planRecovery(house, tx, turn, problem));
  if (plan === null) return;
  const load = { releaseId: plan.to, operation: `${turn.promotionId}-back` };
  try {
    const watched = plan.untouched ? null : await restore(house, turn, load, retry);
    await step('tag-restored', () => tagEnvironment(house, turn, load), { retry });
    await transaction('restored', (tx) => restored(house, tx, turn, plan, problem, watched));
  } catch (error) {
    await transaction('lost', (tx) => lost(house, tx, turn, plan, problem, problemOf(error)));
  }
}

async function restore(house: House, turn: Turn, load: Load, retry: Retry): Promise<Watched> {
  const bringBack = async (at: House, deployment: Deployment): Promise<void> => {
    await copyRelease(at, deployment);
    await deployRelease(at, deployment);
  };
  await step('restore', ({ signal }) => workInLane(house, turn, load, signal, bringBack), { retry });
  return step('verify-restored', ({ signal }) => workInLane(house, turn, load, signal, verifyRelease), { retry });
}

async function planRecovery(house: House, tx: Tx, turn: Turn, problem: Problem): Promise<Recovery | null> {
  await lockEnvironment(tx, turn.environmentId);
  const promotion = await promotionById(tx, turn.promotionId);
  if (promotion === null || promotion.endedAt !== null) {
    await leave(house, tx, turn);
    return null;
  }
  const { definition, environment, release } = await placeOf(house, turn, turn.releaseId);
  const isMigration = problem.code.startsWith('migration.');
  const step = isMigration ? 'migrating' : promotion.state;
  await tell(tx, promotion, 'promotion.broke', { step, problem });
  if (definition.onFailure.yank && blamesArtifacts(problem) && promotion.kind === 'promotion') {
    const reason = `failed in ${environment.name}: ${problem.what}`;
    await yank(house, tx, release, { reason, by: 'towpath', failed: promotion.id });
  }
  const previous = turn.previousReleaseId === null ? null : await releaseById(tx, turn.previousReleaseId);
  const untouched = promotion.state === 'tagging';
  const after = isMigration ? HALF_MIGRATED : UNTOUCHED;
  const { action } = definition.onFailure;
  if (previous !== null && previous.fingerprint !== release.fingerprint && (untouched || action === 'rollback')) {
    const name = `#${previous.number} (${previous.commit.slice(0, 7)})`;
    if (untouched || previous.yank === null) return { to: previous.id, name, step, untouched, after };
  }
  const note = whyNotBack(previous, untouched ? after : null);
  if (untouched ? after.holds : action !== 'keep')
    await holdAfterFailure(house, tx, promotion, withNote(problem, note));
  await move(tx, turn.promotionId, {
    to: 'failed',
    detail: { step, problem, ...(note === undefined ? {} : { note }) },
    ...blame(turn, problem),
  });
  await leave(house, tx, turn);
  return null;
}

/** A yank bars artifacts everywhere: they are not put back either. */
function whyNotBack(previous: Release | null, untouched: Untouched | null): string | undefined {
  if (untouched !== null) return untouched.note;
  if (previous === null) return 'Nothing ran there before that could be put back.';
  if (previous.yank === null) return undefined;
  return `What ran there before, #${previous.number}, is yanked (${previous.yank.reason}) and was not put back.`;
}

interface Untouched {
  readonly note: string;
  /** Nothing comes by itself before somebody has looked. */
  readonly holds: boolean;
}

const UNTOUCHED: Untouched = { note: 'Nothing that runs there was touched.', holds: false };
const HALF_MIGRATED: Untouched = {
  note: 'What runs there goes on; its database may be changed in part.',
  holds: true,
};

function withNote(problem: Problem, note: string | undefined): Problem {
  return note === undefined ? problem : { ...problem, what: `${problem.what} ${note}` };
}

async function restored(
  house: House,
  tx: Tx,
  turn: Turn,
  plan: Recovery,
  problem: Problem,
  watched: Watched | null,
): Promise<void> {
  if (watched === null) return failed(house, tx, turn, plan, { step: plan.step, problem, note: plan.after.note });
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

async function failed(
  house: House,
  tx: Tx,
  turn: Turn,
  { after }: Recovery,
  detail: PromotionDetail & { readonly problem: Problem },
): Promise<void> {
  await lockEnvironment(tx, turn.environmentId);
  const promotion = await move(tx, turn.promotionId, { to: 'failed', detail });
  if (promotion !== null && after.holds) await holdAfterFailure(house, tx, promotion, detail.problem);
  await leave(house, tx, turn);
}

/** The way back failed too: say so loudly, hold, and leave the rest to a person. */
async function lost(
  house: House,
  tx: Tx,
  turn: Turn,
  plan: Recovery,
  problem: Problem,
  second: Problem,
): Promise<void> {
  if (plan.untouched) {
    const note = `${plan.after.note} Its image could not be given its name back: ${second.what}`;
    return failed(house, tx, turn, plan, { step: plan.step, problem, note });
  }
  await lockEnvironment(tx, turn.environmentId);
  const note = `Rolling back failed as well: ${second.what}`;
  const promotion = await move(tx, turn.promotionId, {
    to: 'failed',
    detail: { step: 'rollback', problem, note },
    ...blame(turn, problem),
  });
  if (promotion !== null) await holdAfterFailure(house, tx, promotion, withNote(problem, note));
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
