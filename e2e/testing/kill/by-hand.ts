import { createFlows, createStarts } from '../../../src/flow/create-flows.ts';
import { createEngine } from '../../../src/flow/engine/engine.ts';
import type { House } from '../../../src/flow/house.ts';
import { putBack } from '../../../src/flow/put-back.ts';
import { movePromotion } from '../../../src/path/promotion-store.ts';
import type { PromotionState } from '../../../src/path/promotion.ts';
import { until } from '../server.ts';
import { arriveKnown, type Operation, performed, resume } from './operations.ts';
import { PROJECT, type Stage } from './stage.ts';
import { asUsual } from './world.ts';

/** What people ask for by hand, and what becomes of it where it fails: none of it is built. */

export const rollBack: Operation = {
  name: 'a rollback by hand',
  prepare: (stage) => performed(stage, arriveKnown),
  perform: (stage) =>
    asked(stage, () =>
      stage.client().call('environment.rollback', { params: { project: PROJECT, environment: 'qa' }, body: {} }),
    ),
  tidy: resume,
};

/** It runs but does not do its work: qa gets back what it had. */
export const failAndReturn: Operation = {
  name: 'a promotion that fails and is rolled back',
  prepare: () => Promise.resolve(),
  perform: (stage) => asked(stage, () => promoteBroken(stage)),
  tidy: resume,
};

/** Nothing does its work any more, so that the way back fails too. */
export const failForGood: Operation = {
  name: 'a promotion that fails and cannot be rolled back',
  prepare: () => Promise.resolve(),
  perform(stage) {
    stage.world.behave((_, path) => (path === '/smoke' ? 500 : 200));
    return asked(stage, () => promoteBroken(stage));
  },
  async tidy(stage) {
    stage.world.behave();
    await resume(stage);
    await performed(stage, arriveKnown); // what failed gave qa's name away
  },
};

/** The server that wrote the cancel down died before it told the run of it: what waits for the lane tells it, and puts back. */
export const cancelUnderway: Operation = {
  name: 'a promotion that is cancelled while it is deployed',
  prepare: () => Promise.resolve(),
  async perform(stage) {
    let goOn = (): void => undefined;
    const cancelled = new Promise<void>((resolve) => (goOn = resolve));
    stage.world.behave(async (program, path) => {
      if (program === 'broken') await cancelled;
      return asUsual(program, path);
    });
    const over = await asked(stage, () => promoteBroken(stage));
    const promotion = await until(() => promotionIn(stage, 'deploying'));
    await writeCancelled(stage, promotion);
    await until(async () => (await putBackLookedAt(stage, promotion)) || null); // it stands before the lane, or is let in
    stage.world.behave();
    goOn();
    return over;
  },
  tidy: () => Promise.resolve(),
};

/** What a server writes when it is asked to cancel, without the last thing that it does then: to end the run. */
async function writeCancelled({ store }: Stage, id: string): Promise<void> {
  const flows = createFlows({} as House); // their names are all that is asked of them
  const engine = await createEngine({ store });
  try {
    await store.transaction(async (tx) => {
      const promotion = await movePromotion(tx, id, { to: 'cancelled', detail: { by: 'ana' } });
      if (promotion === null) throw new Error('It ended by itself.');
      const starts = createStarts(
        engine,
        () => flows,
        () => new Map(),
      );
      await putBack({ starts }, tx, promotion, { by: 'ana', why: 'was cancelled' });
    });
  } finally {
    await engine.stop();
  }
}

/** Of the project that is promoted. */
const OURS = `project_id = (select id from towpath.project where name = '${PROJECT}')`;
const paths = new WeakMap<Stage, string>();

/** What it is decided from cannot be read: the path that the project had is gone. */
export const decideBlindly: Operation = {
  name: 'a promotion of which nothing can be known',
  prepare: () => Promise.resolve(),
  async perform(stage) {
    const { rows } = await stage.store.pool.query<{ config: unknown }>(
      `select config from towpath.repository where ${OURS}`,
    );
    paths.set(stage, JSON.stringify(rows[0]?.config));
    await stage.store.pool.query(`update towpath.repository set config = null where ${OURS}`);
    await promoteBroken(stage).catch(() => undefined);
    return async () => (await promotionIn(stage, 'waiting')) !== null;
  },
  async tidy(stage) {
    await stage.store.pool.query(`update towpath.repository set config = $1 where ${OURS}`, [paths.get(stage)]);
    const promotion = await promotionIn(stage, 'waiting');
    if (promotion !== null) await stage.client().call('promotion.cancel', { params: { promotion } });
  },
};

async function promoteBroken(stage: Stage): Promise<unknown> {
  const release = await stage.repository.git('log', '--max-count=1', '--format=%H', '--grep=^broken$');
  return stage
    .client()
    .call('promotion.request', { params: { project: PROJECT, environment: 'qa' }, body: { release } });
}

/** @returns what tells whether all promotions that were wished for have ended */
async function asked({ store }: Stage, wish: () => Promise<unknown>): Promise<() => Promise<boolean>> {
  const wishes = () => store.db.selectFrom('promotion').select('ended_at').execute();
  const before = (await wishes()).length;
  // a server that dies of it may take the answer with it; the wish is a row by then
  await wish().catch(() => undefined);
  return async () => {
    const rows = await wishes();
    return rows.length > before && rows.every((row) => row.ended_at !== null);
  };
}

async function promotionIn({ store }: Stage, state: PromotionState): Promise<string | null> {
  const row = await store.db.selectFrom('promotion').select('id').where('state', '=', state).executeTakeFirst();
  return row?.id ?? null;
}

/** Whether what puts back has been decided on; how long it waits then is a matter of milliseconds. */
async function putBackLookedAt({ store }: Stage, cancelled: string): Promise<boolean> {
  const newer = await store.db
    .selectFrom('promotion')
    .innerJoin('promotion as cancelled', (join) => join.onRef('promotion.number', '>', 'cancelled.number'))
    .select('promotion.state')
    .where('cancelled.id', '=', cancelled)
    .where('promotion.state', 'not in', ['requested', 'evaluating'])
    .executeTakeFirst();
  return newer !== undefined;
}
