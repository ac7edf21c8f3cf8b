import { nextLook } from '../artifact/report-store.ts';
import { nextRun } from '../path/promotion-store.ts';
import { buildFlow } from './build.ts';
import { checkFlow } from './check.ts';
import type { Durable } from './engine/durable.ts';
import type { Engine } from './engine/engine.ts';
import { nextTry } from './engine/next-try.ts';
import { hasEnded } from './engine/state.ts';
import type { WorkerOptions } from './engine/worker.ts';
import type { House } from './house.ts';
import { ingestFlow } from './ingest.ts';
import { promoteFlow } from './promote.ts';
import { removeFlow } from './remove.ts';
import { reportFlow } from './report.ts';
import { routeFlow } from './route.ts';
import type { Starts } from './starts.ts';

export interface Flows {
  readonly ingest: Durable<{ eventId: string }, void>;
  readonly build: Durable<{ key: string; attempt: number }, void>;
  readonly report: Durable<{ reportId: string; run: number }, void>;
  readonly route: Durable<{ releaseId: string; ref: string; again?: number }, void>;
  readonly promote: Durable<{ promotionId: string; run: number }, void>;
  readonly check: Durable<{ releaseId: string; check: string; test?: string }, void>;
  readonly remove: Durable<{ environmentId: string }, void>;
}

export function createFlows(house: House): Flows {
  return {
    ingest: ingestFlow(house),
    build: buildFlow(house),
    report: reportFlow(house),
    route: routeFlow(house),
    promote: promoteFlow(house),
    check: checkFlow(house),
    remove: removeFlow(house),
  };
}

/**
 * Builds and checks are heavy, so each worker runs few; a promotion mostly waits for machines. A rollback has places of
 * its own: it waits behind no deployment, and there may be many that are stuck. Removals of what does not answer hold up
 * nothing else.
 */
export const QUEUES: NonNullable<WorkerOptions['queues']> = {
  ingest: { perWorker: 8 },
  build: { perWorker: 2 },
  report: { perWorker: 4 },
  check: { perWorker: 2 },
  path: { perWorker: 16 },
  rollback: { perWorker: 8 },
  remove: { perWorker: 4 },
};

/** @param flows asked for late: flows start flows */
export function createStarts(engine: Engine, flows: () => Flows): Starts {
  return {
    ingest: (tx, eventId, again) =>
      engine.enqueue(
        tx,
        flows().ingest,
        { eventId },
        { id: `ingest:${eventId}${again === undefined ? '' : `:${again}`}`, queue: 'ingest' },
      ),
    build: (tx, key, attempt, delayMs = 0) =>
      engine.enqueue(tx, flows().build, { key, attempt }, { id: `build:${key}:${attempt}`, queue: 'build', delayMs }),
    async report(tx, reportId) {
      const run = await nextLook(tx, reportId);
      if (run === null) return;
      await engine.enqueue(tx, flows().report, { reportId, run }, { id: lookId(reportId, run), queue: 'report' });
    },
    async route(tx, releaseId, ref, again = 0) {
      // asked for anew each time that the ref is seen at the release: a branch may come back to a commit
      const name = await tx
        .selectFrom('release_name')
        .select('named_at')
        .where('release_id', '=', releaseId)
        .where('ref', '=', ref)
        .executeTakeFirst();
      const when = name?.named_at.getTime() ?? 0;
      const first = `route:${releaseId}:${ref}:${when}`;
      await engine.enqueue(
        tx,
        flows().route,
        { releaseId, ref, again },
        again === 0
          ? { id: first, queue: 'path' }
          : { id: `${first}:${again}`, queue: 'path', delayMs: Math.min(2 ** again * 2000, 60_000) },
      );
    },
    async promote(tx, promotionId) {
      const next = await nextRun(tx, promotionId);
      if (next === null) return;
      const { run, kind } = next;
      const queue = kind === 'rollback' ? 'rollback' : 'path';
      await engine.enqueue(tx, flows().promote, { promotionId, run }, { id: `promote:${promotionId}:${run}`, queue });
    },
    async check(tx, releaseId, check) {
      // one at a time: the id is free again when an answer was recorded, or when the try before has ended without one
      const { count } = await tx
        .selectFrom('evidence')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('release_id', '=', releaseId)
        .where('check_name', '=', check)
        .executeTakeFirstOrThrow();
      const first = `check:${releaseId}:${check}:${count}`;
      const idOf = (number: number): string => (number === 0 ? first : `${first}:${number}`);
      const number = await nextTry(async (one) => hasEnded(await engine.state(idOf(one))));
      await engine.enqueue(tx, flows().check, { releaseId, check }, { id: idOf(number), queue: 'check' });
    },
    test: (tx, releaseId, check, test) =>
      engine.enqueue(
        tx,
        flows().check,
        { releaseId, check, test },
        { id: `check:${releaseId}:${check}:${test}`, queue: 'check' },
      ),
    async remove(tx, environmentId, again) {
      const { removals } = await tx
        .selectFrom('environment')
        .select('removals')
        .where('id', '=', environmentId)
        .executeTakeFirstOrThrow();
      const id = `${removalId(environmentId, removals)}${again === undefined ? '' : `:${again}`}`;
      await engine.enqueue(tx, flows().remove, { environmentId }, { id, queue: 'remove' });
    },
    cancelPromotion: (promotionId, run) => engine.cancel(`promote:${promotionId}:${run}`),
  };
}

/** @param run of how many looks at the report it is */
export function lookId(reportId: string, run: number): string {
  return `report:${reportId}:${run}`;
}

/** @param removal how many of that environment came to their end before */
export function removalId(environmentId: string, removal: number): string {
  return `remove:${environmentId}:${removal}`;
}
