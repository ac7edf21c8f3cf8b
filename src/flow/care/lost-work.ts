import { sql } from 'kysely';

import { artifactsInWork, recordBuildLost } from '../../artifact/lost-store.ts';
import { type Ending, endings } from '../../environment/ending-store.ts';
import { lockEnvironment } from '../../environment/environment-store.ts';
import { leaveLane } from '../../environment/lane-store.ts';
import { DISK_FULL } from '../../lib/disk-full.ts';
import { hasCode, type Problem } from '../../lib/error.ts';
import { promotionById } from '../../path/promotion-store.ts';
import { isWorking } from '../../path/promotion.ts';
import { eventsInWork } from '../../source/ref-event-store.ts';
import { STORE_AWAY } from '../../store/database.ts';
import { followBuild } from '../begin-builds.ts';
import { buildLater, endLog, MOST_ATTEMPTS, settleReleases } from '../build.ts';
import { removalId } from '../create-flows.ts';
import type { Engine } from '../engine/engine.ts';
import { hasEnded } from '../engine/state.ts';
import { definitionOf } from '../gather.ts';
import type { House } from '../house.ts';
import { move } from '../move.ts';
import { putBack } from '../put-back.ts';
import { holdAfterFailure } from '../recover.ts';
import type { Starts } from '../starts.ts';
import { wake } from '../wake.ts';
import { attemptEach } from './attempt.ts';

const BATCH = 100;
/** A removal that was given up is begun anew, once in this time, for as long as the environment is there. */
const AGAIN_MS = 5 * 60_000;
/** A commit that could not be taken in is tried more often at first. */
const SOON_MS = 60_000;
const OFTEN_FOR_MS = 15 * 60_000;

type Workflows = Pick<Engine, 'state'>;
type Place = Pick<House, 'store' | 'clock' | 'log'> & {
  readonly starts: Pick<Starts, 'remove' | 'ingest' | 'promote' | 'build' | 'route'>;
};

/** Rows that say that they are worked on, while no workflow works for them, are set right. */
export async function reconcile(house: Place, engine: Workflows): Promise<void> {
  const rows = await house.store.db
    .selectFrom('promotion')
    .select(['id', 'runs', 'environment_id'])
    .where('ended_at', 'is', null)
    .where('state', '<>', 'waiting')
    .where('changed_at', '<', sql<Date>`clock_timestamp() - interval '15 seconds'`)
    .limit(BATCH)
    .execute();
  await attemptEach(house.log, rows, 'settling a lost promotion', ({ id, runs, environment_id: environmentId }) =>
    settleLost(house, engine, { id, runs, environmentId }),
  );
  await attemptEach(house.log, await eventsInWork(house.store.db, 5 * BATCH), 'taking in a commit again', (event) =>
    ingestAgain(house, engine, event),
  );
  await attemptEach(house.log, await artifactsInWork(house.store.db, BATCH), 'settling a lost build', (build) =>
    settleLostBuild(house, engine, build),
  );
  await attemptEach(house.log, await endings(house.store.db), 'ending an environment again', (ending) =>
    removeAgain(house, engine, ending),
  );
}

/** A promotion whose work ended without a word has failed, and what that means is the environment's own rule. */
async function settleLost(
  house: Place,
  engine: Workflows,
  { id, runs, environmentId }: { readonly id: string; readonly runs: number; readonly environmentId: string },
): Promise<void> {
  const state = await engine.state(`promote:${id}:${runs}`);
  if (state.kind === 'queued' || state.kind === 'running') return;
  const problem = state.kind === 'failed' ? state.problem : LOST;
  await house.store.transaction(async (tx) => {
    const environment = await lockEnvironment(tx, environmentId);
    const promotion = await promotionById(tx, id);
    if (promotion === null || promotion.endedAt !== null || promotion.runs !== runs) return;
    const failed = await move(tx, id, { to: 'failed', detail: { step: promotion.state, problem } });
    await leaveLane(tx, environmentId, id);
    if (failed !== null && isWorking(promotion.state)) {
      const { action } = definitionOf(environment).onFailure;
      if (action !== 'keep') await holdAfterFailure(house, tx, failed, problem);
      if (action === 'rollback') await putBack(house, tx, failed, { by: 'towpath', why: 'was lost' });
    }
    await wake(house, tx, environmentId);
  });
}

const LOST: Problem = {
  code: 'promotion.lost',
  what: 'Its work ended without a result.',
  fix: 'Promote it again; the server log has the story.',
};

/** A git server or a registry that was away for longer than we tried: the commit is still to be taken in. */
async function ingestAgain(
  house: Place,
  engine: Workflows,
  { id, seenAtMs }: { readonly id: string; readonly seenAtMs: number },
): Promise<void> {
  const now = house.clock.now();
  const span = Math.floor(now / (now - seenAtMs < OFTEN_FOR_MS ? SOON_MS : AGAIN_MS));
  if (!(await isOver(engine, `ingest:${id}`, span))) return;
  await house.store.transaction((tx) => house.starts.ingest(tx, id, span));
}

/**
 * An artifact that nobody builds any more has failed: its releases say so, and `towpath build` asks for it again. Where the
 * database was away or full for as long as we tried it is made later, as with any other full disk.
 */
async function settleLostBuild(
  house: Place,
  engine: Workflows,
  { key, attempt }: { readonly key: string; readonly attempt: number },
): Promise<void> {
  const state = await engine.state(`build:${key}:${attempt}`);
  if (state.kind === 'queued' || state.kind === 'running') return;
  const problem = state.kind === 'failed' ? state.problem : LOST_BUILD;
  if (attempt <= MOST_ATTEMPTS && hasCode(problem, DISK_FULL.code, STORE_AWAY.code))
    return house.store.transaction((tx) => buildLater(house, tx, key, attempt));
  const settled = await house.store.transaction(async (tx) => {
    const lost = await recordBuildLost(tx, key, attempt, problem);
    if (!lost) return false;
    for (const ended of await followBuild(house, tx, key)) await settleReleases(house, tx, ended);
    return true;
  });
  if (settled) await endLog(house, key, problem);
}

const LOST_BUILD: Problem = {
  code: 'artifact.lost',
  what: 'Its build ended without a result.',
  fix: 'Ask for it again with `towpath build`; the server log has the story.',
};

/** The first try has an id of its own and is asked for as often as one likes; a later one is of its span of time. */
async function removeAgain(house: Place, engine: Workflows, { id, removal }: Ending): Promise<void> {
  const span = Math.floor(house.clock.now() / AGAIN_MS);
  if (!(await isOver(engine, removalId(id, removal), span))) return;
  await house.store.transaction((tx) => house.starts.remove(tx, id, span));
}

/** True when neither the first try nor that of the span before is under way: they ended, also so long ago that nobody knows. */
async function isOver(engine: Workflows, id: string, span: number): Promise<boolean> {
  const tries = await Promise.all([engine.state(id), engine.state(`${id}:${span - 1}`)]);
  return tries.every((state) => state.kind === 'missing' || hasEnded(state));
}
