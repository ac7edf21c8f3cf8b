import { nextLook } from '../artifact/report-store.ts';
import { environmentById } from '../environment/environment-store.ts';
import { nextRun } from '../path/promotion-store.ts';
import { buildFlow } from './build.ts';
import { checkFlow } from './check.ts';
import type { Durable } from './engine/durable.ts';
import { sha256Hex } from '../lib/digest.ts';
import type { Engine } from './engine/engine.ts';
import { nextTry } from './engine/next-try.ts';
import { hasEnded } from './engine/state.ts';
import type { WorkerOptions } from './engine/worker.ts';
import { definitionOf } from './gather.ts';
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
  readonly check: Durable<
    { releaseId: string; check: string; environmentId?: string; sinceMs?: number; test?: string },
    void
  >;
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
 * Kinds of work are partitions of three queues: a worker asks for each queue ten times a second what kinds wait in it, so
 * that an idle one asks three questions and not one for every kind. Each kind has its limit by itself. Builds and checks
 * are heavy; a promotion mostly waits for machines. A rollback waits behind no deployment, for there may be many that are
 * stuck, and a removal of what does not answer holds up nothing else.
 */
export const QUEUES: NonNullable<WorkerOptions['queues']> = {
  heavy: { perWorkerOfPartition: 2 },
  light: { perWorkerOfPartition: 8 },
  patient: { perWorkerOfPartition: 16 },
};

const INGEST = { queue: 'light', partition: 'ingest' };
const BUILD = { queue: 'heavy', partition: 'build' };
const REPORT = { queue: 'light', partition: 'report' };
const CHECK = { queue: 'heavy', partition: 'check' };
const PATH = { queue: 'patient', partition: 'path' };
const ROLLBACK = { queue: 'light', partition: 'rollback' };
const REMOVE = { queue: 'light', partition: 'remove' };

/**
 * What waits for people may do so for days: it has places of its own, of its environment, and takes none from others. One works
 * in an environment at a time anyway.
 */
function placeOf(environmentId: string) {
  return { queue: 'patient', partition: `people:${environmentId}` };
}

/**
 * @param flows asked for late: flows start flows
 * @param drivers likewise
 */
export function createStarts(engine: Engine, flows: () => Flows, drivers: () => House['drivers']): Starts {
  return {
    ingest: (tx, eventId, again) =>
      engine.enqueue(
        tx,
        flows().ingest,
        { eventId },
        { id: `ingest:${eventId}${again === undefined ? '' : `:${again}`}`, ...INGEST },
      ),
    build: (tx, key, attempt, delayMs = 0) =>
      engine.enqueue(tx, flows().build, { key, attempt }, { id: `build:${key}:${attempt}`, ...BUILD, delayMs }),
    async report(tx, reportId) {
      const run = await nextLook(tx, reportId);
      if (run === null) return;
      await engine.enqueue(tx, flows().report, { reportId, run }, { id: lookId(reportId, run), ...REPORT });
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
          ? { id: first, ...PATH }
          : { id: `${first}:${again}`, ...PATH, delayMs: Math.min(2 ** again * 2000, 60_000) },
      );
    },
    async promote(tx, promotionId) {
      const next = await nextRun(tx, promotionId);
      if (next === null) return;
      const { run, kind, environmentId } = next;
      const id = `promote:${promotionId}:${run}`;
      const { deploy } = definitionOf(await environmentById(tx, environmentId));
      const waitMs = drivers().get(deploy.driver)?.waitMs?.(deploy.config) ?? 0;
      const place = waitMs > 0 ? placeOf(environmentId) : kind === 'rollback' ? ROLLBACK : PATH;
      await engine.enqueue(tx, flows().promote, { promotionId, run }, { id, ...place });
    },
    async check(tx, releaseId, { check, questions, ...wanted }, environmentId) {
      const place = check === 'can-i-deploy' && environmentId !== undefined ? { environmentId } : {};
      const open = questions === undefined ? [] : [sha256Hex(questions.join(' ')).slice(0, 16)];
      // one at a time: the id is another when an answer was recorded, or when the try before has ended without one
      const { count } = await tx
        .selectFrom('evidence')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('release_id', '=', releaseId)
        .where('check_name', '=', check)
        .executeTakeFirstOrThrow();
      const first = [`check:${releaseId}:${check}`, ...Object.values(place), ...open, count].join(':');
      const idOf = (number: number): string => (number === 0 ? first : `${first}:${number}`);
      const number = await nextTry(async (one) => hasEnded(await engine.state(idOf(one))));
      await engine.enqueue(
        tx,
        flows().check,
        { releaseId, check, ...place, ...wanted },
        { id: idOf(number), ...CHECK },
      );
    },
    test: (tx, releaseId, check, test) =>
      engine.enqueue(
        tx,
        flows().check,
        { releaseId, check, test },
        { id: `check:${releaseId}:${check}:${test}`, ...CHECK },
      ),
    async remove(tx, environmentId, again) {
      const { removals } = await tx
        .selectFrom('environment')
        .select('removals')
        .where('id', '=', environmentId)
        .executeTakeFirstOrThrow();
      const id = `${removalId(environmentId, removals)}${again === undefined ? '' : `:${again}`}`;
      await engine.enqueue(tx, flows().remove, { environmentId }, { id, ...REMOVE });
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
