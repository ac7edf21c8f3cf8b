import { sql } from 'kysely';

import { deadPreviews } from '../../environment/environment-store.ts';
import { leaveLane } from '../../environment/lane-store.ts';
import type { Problem } from '../../lib/error.ts';
import { movePromotion, promotionById } from '../../path/promotion-store.ts';
import { recordEvent } from '../../store/event-store.ts';
import type { Engine } from '../engine/engine.ts';
import { hasEnded } from '../engine/state.ts';
import type { House } from '../house.ts';
import type { Starts } from '../starts.ts';
import { attemptEach } from './attempt.ts';

const BATCH = 100;
/** A removal that was given up is begun anew, once in this time, for as long as the preview is there. */
const AGAIN_MS = 5 * 60_000;

type Workflows = Pick<Engine, 'state'>;
type Place = Pick<House, 'store' | 'clock' | 'log'> & { readonly starts: Pick<Starts, 'removePreview'> };

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
  await attemptEach(house.log, await deadPreviews(house.store.db), 'ending a preview again', (id) =>
    removeAgain(house, engine, id),
  );
}

/** A promotion whose work ended without a word has failed: say so and free its lane. */
async function settleLost(
  house: Place,
  engine: Workflows,
  { id, runs, environmentId }: { readonly id: string; readonly runs: number; readonly environmentId: string },
): Promise<void> {
  const state = await engine.state(`promote:${id}:${runs}`);
  if (state.kind === 'queued' || state.kind === 'running') return;
  await house.store.transaction(async (tx) => {
    const promotion = await promotionById(tx, id);
    if (promotion === null || promotion.endedAt !== null || promotion.runs !== runs) return;
    const problem = state.kind === 'failed' ? state.problem : LOST;
    const moved = await movePromotion(tx, id, { to: 'failed', detail: { step: promotion.state, problem } });
    await leaveLane(tx, environmentId, id);
    if (moved === null) return;
    await recordEvent(tx, {
      projectId: moved.projectId,
      kind: 'promotion.failed',
      subject: id,
      data: { environment: environmentId, problem },
    });
  });
}

const LOST: Problem = {
  code: 'promotion.lost',
  what: 'Its work ended without a result.',
  fix: 'Promote it again; the server log has the story.',
};

/** The first try has an id of its own and is asked for as often as one likes; a later one is of its span of time. */
async function removeAgain(house: Place, engine: Workflows, environmentId: string): Promise<void> {
  const span = Math.floor(house.clock.now() / AGAIN_MS);
  const first = await engine.state(`remove:${environmentId}`);
  const before = await engine.state(`remove:${environmentId}:${span - 1}`);
  if (!hasEnded(first) || !(before.kind === 'missing' || hasEnded(before))) return;
  await house.store.transaction((tx) => house.starts.removePreview(tx, environmentId, span));
}
