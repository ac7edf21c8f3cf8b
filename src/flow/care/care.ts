import { sql } from 'kysely';

import { storedCredentials } from '../../access/credential-store.ts';
import { forgetContent } from '../../check/kept-store.ts';
import { rulingConfig } from '../../config/config-store.ts';
import type { Digest } from '../../lib/digest.ts';
import type { LogLine } from '../../lib/log.ts';
import { forgetMessages } from '../../notify/message-store.ts';
import { forgetNotices } from '../../notify/notice-store.ts';
import type { SweepPoint } from '../../registry/content.ts';
import { forgetDeliveries } from '../../source/wake-store.ts';
import type { Engine } from '../engine/engine.ts';
import { passBoundary } from '../engine/fault.ts';
import type { House } from '../house.ts';
import { collectMessages } from '../messages/collect.ts';
import { deliverMessages } from '../messages/deliver.ts';
import { collectNotices } from '../notices/collect.ts';
import { deliverNotices } from '../notices/deliver.ts';
import { refreshWhatIsDue } from '../refresh-bases.ts';
import { deliverStatements } from '../statements/deliver.ts';
import { attemptEach } from './attempt.ts';
import { endClosedPulls } from './closed-pulls.ts';
import { setRight } from './clock-back.ts';
import { careForCopies } from './copies.ts';
import { giveUpArtifacts } from './give-up.ts';
import { forgetEvents, forgetFiles, forgetLogs } from './history.ts';
import { contentBefore, keptImages } from './image-content.ts';
import { reconcile } from './lost-work.ts';
import { findMissingImages } from './missing-images.ts';
import { careForReports } from './reports.ts';
import { retainImages } from './retain-images.ts';
import { digestsInUse } from './retention-facts.ts';
import { scanAgain } from './scan-again.ts';
import { findTakenStatements } from './taken-statements.ts';

/** What of this machine has to be kept in order; its implementations know the files and processes. */
export interface MachineCare {
  /** Starts again what should run here and does not. @returns how many */
  revive(log: LogLine): Promise<number>;
  /** What services print is kept up to a size. */
  capOutputs(): Promise<void>;
  /** Ends and removes what a server that was killed left of checks: containers, networks, processes, folders. */
  sweepTasks(): Promise<void>;
  /** The proxy runs wherever there is something for it to serve. */
  ensureProxy(): Promise<void>;
  /** Addresses lead to what runs elsewhere, wherever that was begun again. */
  leadAgain(): Promise<void>;
  /** Drops unfinished uploads that nobody has added to since then. */
  sweepUploads(beforeMs: number): Promise<number>;
  /** Drops unpacked images that nothing of ours needs and nobody used since then. */
  sweepUnpacked(kept: ReadonlySet<Digest>, beforeMs: number): Promise<number>;
}

export interface CareTask {
  readonly name: string;
  readonly everyMs: number;
  /** The signal says that the server ends. */
  run(signal: AbortSignal): Promise<unknown>;
}

export interface CareSettings {
  /** The pause between two looks at what changes rarely. */
  readonly everyMs?: number | undefined;
  /** How long events are kept. */
  readonly eventDays?: number | undefined;
  /** How long logs are kept that tell of nothing that runs or can be rolled back to. */
  readonly logDays?: number | undefined;
  /** How long files that runs of checks left are kept, in the same way. */
  readonly fileDays?: number | undefined;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** A signature of a webhook is good for minutes; a day is more than enough to tell a repetition. */
const DELIVERIES_KEPT_MS = DAY_MS;
const UPLOADS_KEPT_MS = DAY_MS;
const UNPACKED_KEPT_MS = DAY_MS;
/** Users meet an error for so long when the only replica was begun again. */
const ADDRESSES_EVERY_MS = 1_000;
/** Somebody waits for the check of a pull request. */
const NOTICES_EVERY_MS = 1_000;
/** Nobody waits for those at a page. */
const MESSAGES_EVERY_MS = 2_000;
/** Somebody may want to verify what went live just now. */
const STATEMENTS_EVERY_MS = 1_000;
/** By then the rows that say what a host shows are only of what runs. */
const NOTICES_KEPT_MS = 90 * DAY_MS;
/** A run that stored one ends by then, with all its tries. */
const UNNAMED_FILES_KEPT_MS = 8 * DAY_MS;
/** What the engine knows of work that ended; what it did is told by tables of ours. */
const WORK_KEPT_MS = 30 * DAY_MS;

/**
 * What each worker does for its own machine, and what any one of them does for all. Everything compares what is with
 * what should be, so that doing it twice, or at two workers at once, is the same as doing it once.
 */
export function careTasks(
  house: House,
  engine: Pick<Engine, 'state' | 'forget'>,
  machine: MachineCare,
  { everyMs = 10 * MINUTE_MS, eventDays = 90, logDays = 90, fileDays = 30 }: CareSettings = {},
): CareTask[] {
  const { store, clock, log } = house;
  const daysAgo = (days: number) => new Date(clock.now() - days * DAY_MS);
  const often = Math.min(everyMs, MINUTE_MS / 4);
  return [
    { name: 'lost work', everyMs: often, run: () => reconcile(house, engine) },
    { name: 'what a clock left behind that was ahead', everyMs: often, run: () => setRight(house) },
    { name: 'reports of other CIs', everyMs: often, run: () => careForReports(house, engine) },
    {
      name: 'addresses of what a Swarm runs',
      everyMs: Math.min(everyMs, ADDRESSES_EVERY_MS),
      run: () => machine.leadAgain(),
    },
    { name: 'the proxy', everyMs: often, run: () => machine.ensureProxy() },
    { name: 'what should run here', everyMs: often, run: () => machine.revive((line) => log.warn(line)) },
    { name: 'what checks left', everyMs: often, run: () => machine.sweepTasks() },
    { name: 'what services print', everyMs: often, run: () => machine.capOutputs() },
    {
      name: 'what git hosts are told',
      everyMs: Math.min(everyMs, NOTICES_EVERY_MS),
      run: async (signal) => {
        await collectNotices(house);
        await deliverNotices(house, signal);
      },
    },
    {
      name: 'what people are told',
      everyMs: Math.min(everyMs, MESSAGES_EVERY_MS),
      run: async (signal) => {
        await collectMessages(house);
        await deliverMessages(house, signal);
      },
    },
    { name: 'messages', everyMs: 6 * everyMs, run: () => forgetMessages(store.db, clock.now() - NOTICES_KEPT_MS) },
    {
      name: 'signed statements',
      everyMs: Math.min(everyMs, STATEMENTS_EVERY_MS),
      run: (signal) => deliverStatements(house, signal),
    },
    { name: 'notices', everyMs: 6 * everyMs, run: () => forgetNotices(store.db, clock.now() - NOTICES_KEPT_MS) },
    { name: 'names of images', everyMs, run: () => retainImages(house) },
    { name: 'artifacts that nothing needs', everyMs: 6 * everyMs, run: () => giveUpArtifacts(house) },
    { name: 'images that are needed', everyMs, run: () => findMissingImages(house) },
    { name: 'images in other registries', everyMs, run: (signal) => careForCopies(house, signal) },
    { name: 'statements beside what runs', everyMs, run: () => findTakenStatements(house) },
    { name: 'scans of what runs', everyMs, run: () => scanAgain(house) },
    { name: 'base images', everyMs, run: () => refreshBySchedule(house) },
    { name: 'uploads', everyMs, run: () => machine.sweepUploads(clock.now() - UPLOADS_KEPT_MS) },
    {
      name: 'content of images',
      everyMs: 6 * everyMs,
      run: async (signal) => {
        const beforeMs = await contentBefore(store.db, clock.now());
        const kept = keptImages(store.db, house.registry.host);
        const passed = (point: SweepPoint) => passBoundary(point, 'done', 'care');
        await house.content.sweep({ kept, beforeMs, signal, passed });
      },
    },
    {
      name: 'unpacked images',
      everyMs,
      run: async () => machine.sweepUnpacked(await digestsInUse(store.db), clock.now() - UNPACKED_KEPT_MS),
    },
    {
      name: 'webhook deliveries',
      everyMs,
      run: () => forgetDeliveries(store.db, clock.now() - DELIVERIES_KEPT_MS),
    },
    { name: 'closed pull requests', everyMs: Math.min(everyMs, MINUTE_MS), run: () => endClosedPulls(house) },
    { name: 'sessions', everyMs, run: () => storedCredentials(store.db).forget(clock.now()) },
    {
      name: 'kept answers',
      everyMs,
      run: () => sql`delete from kept_answer where until < clock_timestamp()`.execute(store.db),
    },
    { name: 'events', everyMs: 6 * everyMs, run: (signal) => forgetEvents(store.db, daysAgo(eventDays), signal) },
    {
      name: 'files of checks',
      everyMs: 6 * everyMs,
      run: async () => {
        await forgetFiles(store.db, daysAgo(fileDays));
        await forgetContent(store.db, new Date(clock.now() - UNNAMED_FILES_KEPT_MS));
      },
    },
    { name: 'logs', everyMs: 6 * everyMs, run: (signal) => forgetLogs(store.db, daysAgo(logDays), signal) },
    { name: 'work that ended', everyMs: 6 * everyMs, run: () => engine.forget(WORK_KEPT_MS) },
    { name: 'mirrors', everyMs: 6 * everyMs, run: (signal) => maintainMirrors(house, signal) },
  ];
}

/** Where `towpath.yaml` says how often; the time of the last answer is stored, so that it does not matter who looks when. */
export async function refreshBySchedule(house: House): Promise<void> {
  const projects = await house.store.db.selectFrom('project').select('id').execute();
  await attemptEach(house.log, projects, 'refresh of base images', async ({ id }) => {
    const everyMs = (await rulingConfig(house.store.db, id))?.config.base.refreshEveryMs ?? null;
    if (everyMs !== null) await refreshWhatIsDue(house, id, everyMs);
  });
}

async function maintainMirrors(house: House, signal: AbortSignal): Promise<void> {
  const repositories = await house.store.db
    .selectFrom('repository')
    .select('id')
    .where('left_at', 'is', null)
    .execute();
  await attemptEach(house.log, repositories, 'care of a mirror', async ({ id }) =>
    (await house.mirrorOf(id)).maintain(signal),
  );
}

export interface Care {
  /** Starts what is due and is not under way: one that takes long, or fails, holds up no other. */
  begin(nowMs: number): void;
  /** Resolves when nothing is under way. */
  ended(): Promise<void>;
}

export function createCare(tasks: readonly CareTask[], log: Pick<House['log'], 'warn'>, signal: AbortSignal): Care {
  const lastMs = new Map<CareTask, number>();
  const running = new Map<CareTask, Promise<void>>();
  return {
    begin(nowMs) {
      for (const task of tasks) {
        const dueMs = (lastMs.get(task) ?? Number.NEGATIVE_INFINITY) + task.everyMs;
        if (nowMs < dueMs || running.has(task)) continue;
        lastMs.set(task, nowMs);
        const work = attemptEach(log, [task.name], 'care', async () => {
          await task.run(signal).catch((error: unknown) => {
            if (!signal.aborted) throw error; // the server ends, and the next one looks again
          });
        });
        running.set(
          task,
          work.finally(() => running.delete(task)),
        );
      }
    },
    async ended() {
      await Promise.all(running.values());
    },
  };
}
