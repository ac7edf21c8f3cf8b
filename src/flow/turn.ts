import { type EnvironmentRow, environmentById, lockEnvironment } from '../environment/environment-store.ts';
import { inLane, leaveLane } from '../environment/lane-store.ts';
import { environmentOf } from '../environment/place.ts';
import { recordLive } from '../environment/tenure-store.ts';
import { TowpathError } from '../lib/error.ts';
import type { PathEnvironment } from '../path/path.ts';
import { promotionById } from '../path/promotion-store.ts';
import { planTags } from '../registry/image-names.ts';
import { keepTag } from '../registry/keep-tag.ts';
import type { Release } from '../release/release.ts';
import { requireRelease } from '../release/release-store.ts';
import type { Tx } from '../store/database.ts';
import { copyRelease } from './copies.ts';
import type { Deployment, Watched } from './deploy-release.ts';
import { definitionOf } from './gather.ts';
import type { House } from './house.ts';
import { migrate } from './migrate.ts';
import { nameImages } from './name-images.ts';
import { recordGateQuestions } from './revoke.ts';
import { wake, wakeFollowers } from './wake.ts';

/** What a promotion knows of the place that it works in. Plain JSON: it is written down between the steps. */
export interface Turn {
  readonly promotionId: string;
  readonly environmentId: string;
  readonly releaseId: string;
  readonly previousReleaseId: string | null;
  readonly automatic: boolean;
  readonly stepsBack: boolean;
  /** What the release runs under, as a hash. */
  readonly circumstances: string;
}

/** What is brought in, and under which name it may be repeated: the promotion's own release, or what ran before. */
export interface Load {
  readonly releaseId: string;
  readonly operation: string;
}

/**
 * `env-<environment>` moves to what is about to run, and a name of its own keeps the release for a rollback. What its gates ask
 * is written down, so that a later answer finds it.
 */
export async function tagEnvironment(house: House, turn: Turn, { releaseId }: Load): Promise<void> {
  const { environment, release } = await placeOf(house, turn, releaseId);
  await recordGateQuestions(house, release, environment);
  await nameImages(house, release, ({ repository, digest }) => [
    ...planTags(repository, digest, [{ kind: 'environment', environment: environmentOf(environment.name) }]),
    { repository, digest, tag: keepTag(environment.slug, release.number), moves: false },
  ]);
}

/** All that comes before anything that runs is touched: names, images in the registry that they are taken from, migrations. */
export async function prepare(house: House, turn: Turn, load: Load, signal: AbortSignal): Promise<void> {
  await tagEnvironment(house, turn, load);
  await workInLane(house, turn, load, signal, async (at, deployment) => {
    await copyRelease(at, deployment);
    await migrate(at, deployment);
  });
}

/** Works in the lane, on the target: `deployRelease`, or `verifyRelease`. */
export async function workInLane<T>(
  house: House,
  turn: Turn,
  { releaseId, operation }: Load,
  signal: AbortSignal,
  work: (house: House, deployment: Deployment) => Promise<T>,
): Promise<T> {
  const place = await placeOf(house, turn, releaseId);
  await requireOpen(house, turn);
  const lane = { store: house.store, environmentId: turn.environmentId, holder: turn.promotionId, signal };
  return inLane(lane, (laneSignal, token) =>
    work(house, { ...place, operation, signal: laneSignal, token, promotionId: turn.promotionId }),
  );
}

/** Whoever ended it may have let others into the lane: they are not waited for. */
async function requireOpen({ store }: House, { promotionId }: Turn): Promise<void> {
  const promotion = await promotionById(store.db, promotionId);
  if (promotion === null || promotion.endedAt === null) return;
  throw new TowpathError({
    code: 'promotion.ended',
    what: `Promotion ${promotion.number} ended meanwhile: ${promotion.state}.`,
    fix: 'Look at the newer promotion.',
  });
}

/** What was seen running is what the environment runs now; whoever waits to come from there looks again. */
export async function recordRunning(
  house: House,
  tx: Tx,
  { environmentId }: Turn,
  { services }: Watched,
  what: { readonly releaseId: string; readonly promotionId: string },
): Promise<void> {
  await recordLive(tx, { environmentId, ...what, services });
  await wakeFollowers(house, tx, environmentId);
}

/**
 * Leaves the lane and wakes whoever waits, the newest last so that it decides. Whoever decides at that moment comes first: it
 * has locked the environment, and will look at the lane.
 */
export async function leave(house: House, tx: Tx, turn: Turn): Promise<void> {
  await lockEnvironment(tx, turn.environmentId);
  await leaveLane(tx, turn.environmentId, turn.promotionId);
  await wake(house, tx, turn.environmentId);
}

interface Place {
  readonly environment: EnvironmentRow;
  readonly definition: PathEnvironment;
  readonly release: Release;
}

export async function placeOf(house: House, turn: Pick<Turn, 'environmentId'>, releaseId: string): Promise<Place> {
  const environment = await environmentById(house.store.db, turn.environmentId);
  const release = await requireRelease(house.store.db, releaseId);
  return { environment, definition: definitionOf(environment), release };
}
