import { setTimeout as wait } from 'node:timers/promises';

import type { BranchHead, BranchWriter } from '../../git/branch-writer.ts';
import { together } from '../../lib/together.ts';
import { isTransient, type Store } from '../../store/database.ts';
import { writeBatch } from './batch.ts';
import { GitopsError } from './gitops-error.ts';
import { createEdits } from './edits.ts';
import { createReadings, type Readings } from './manifest/readings.ts';
import {
  askNewWrites,
  askWrite,
  countWaiting,
  finishWrites,
  forgetWrites,
  leaveLease,
  type ManifestBranch,
  putBackLeft,
  putBackWrites,
  stayWanted,
  takeLease,
  takeWaiting,
  withdrawWrite,
  type WriteAsk,
  type WriteResult,
  writeState,
} from './write-store.ts';

export interface SerialWriterParts {
  readonly store: Store;
  /** Tells this process from all others, and from itself before a restart. */
  readonly holder: string;
  /** How long it is waited for others that want to write, at most: it ends when nobody comes any more. */
  readonly windowMs?: number;
  readonly leaseMs?: number;
  /** Who writes for so long without a break takes one, so that others who commit with git find the branch still for once. */
  readonly breath?: { readonly afterMs: number; readonly ms: number };
  /** Told after each step of a write: a server that ends there is gone on for by another. */
  readonly passed?: (point: WritePoint) => void;
}

/** Up to where a write has come: it is in line; it is taken from there; it is on the branch; and that is known. */
export type WritePoint = 'asked' | 'taken' | 'pushed' | 'written';

const WINDOW_MS = 250;
/** Those of this process who ask at one moment come within so long of each other. */
const NOBODY_CAME_MS = 6;
/** So often it is looked for those of other processes. */
const LOOK_MS = 40;
/** As long as one of this process is on the way into the line. */
const COMING_MS = 2;
/** To fetch, commit and push takes a second or two of a person's time, or of a script's. */
const BREATH = { afterMs: 60_000, ms: 2_000 };
const LEASE_MS = 15_000;
/** Nobody waits any more for what nobody asked after for so long. */
const WANTED_MS = 15_000;
const POLL_MS = 100;
const MOST_AT_ONCE = 500;
const KEPT_MS = 14 * 86_400_000;
/** It is looked for among all that is kept. */
const FORGET_EVERY_MS = 3_600_000;

export interface SerialWriter {
  /** Says that somebody is about to ask, for whom others wait. @returns is called when it has asked, or does not */
  expect(branch: ManifestBranch): () => void;
  /**
   * Resolves when it stands on the branch. @returns the commit that holds it
   * @throws GitopsError when it is refused; GitError when the way failed; the signal's reason when it was called off, and never while a push of it is under way
   */
  write(ask: WriteAsk, writer: BranchWriter, signal: AbortSignal): Promise<string>;
  /** Waits until it writes nothing any more and has given its leases back. */
  close(): Promise<void>;
}

interface Drive {
  readonly ended: Promise<boolean>;
  /** Hear after each batch how what was in it ended. */
  readonly heard: Set<Hear>;
}

type Hear = (results: ReadonlyMap<string, WriteResult>) => void;

/** Who of this process wants to write to a branch. */
interface Here {
  /** How many are on the way into the line. */
  coming: number;
  /** When the last of them came there, by our own watch. */
  lastMs: number;
  /** The keys of those who stand there. */
  readonly standing: Set<string>;
  /** How many were in the last batch: where as many are back, nobody else is waited for. */
  lastMany: number;
  /** When what ended long ago was forgotten last, by our own watch. */
  forgotMs: number;
  readonly readings: Readings;
}

/** Of all that want to write to a branch, whoever gets its lease writes for all. The others wait, here or in other processes. */
export function createSerialWriter(parts: SerialWriterParts): SerialWriter {
  const { store, holder, windowMs = WINDOW_MS, leaseMs = LEASE_MS, breath = BREATH, passed = () => undefined } = parts;
  const drives = new Map<string, Drive>();
  const heres = new Map<string, Here>();

  const hereAt = (branchId: string): Here => {
    const here = heres.get(branchId) ?? {
      coming: 0,
      lastMs: 0,
      standing: new Set<string>(),
      lastMany: Infinity,
      forgotMs: -FORGET_EVERY_MS,
      readings: createReadings(),
    };
    heres.set(branchId, here);
    return here;
  };

  /** Waits for who asks at the same moment. Of this process it is known who comes; of others, whether more stand there than before. */
  const gather = async (branchId: string): Promise<void> => {
    const here = hereAt(branchId);
    const until = performance.now() + windowMs;
    let [before, lookedMs] = [-1, -Infinity];
    for (;;) {
      const now = performance.now();
      if (now >= until || (here.coming === 0 && here.standing.size >= here.lastMany)) return;
      const quietMs = (here.lastMs > lookedMs ? here.lastMs + NOBODY_CAME_MS : lookedMs + LOOK_MS) - now;
      if (here.coming > 0 || quietMs > 0) {
        await wait(Math.min(here.coming > 0 ? COMING_MS : quietMs, COMING_MS, until - now)); // somebody may come meanwhile
        continue;
      }
      const waiting = await countWaiting(store.db, branchId);
      if (waiting > 0 && (waiting <= here.standing.size || waiting === before)) return;
      before = waiting;
      lookedMs = performance.now();
    }
  };

  const expect = ({ id }: ManifestBranch): (() => void) => {
    const here = hereAt(id);
    here.coming += 1;
    return () => {
      here.coming -= 1;
      here.lastMs = performance.now();
    };
  };

  const enterAtOnce = together(
    (asks: readonly WriteAsk[]) => askNewWrites(store.db, asks, WANTED_MS),
    ({ key }) => key,
    isTransient,
  );

  const enterLine = async (ask: WriteAsk): Promise<void> => {
    const here = hereAt(ask.branch.id);
    const came = expect(ask.branch);
    try {
      if (!(await enterAtOnce(ask))) await askWrite(store.db, ask, WANTED_MS);
      here.standing.add(ask.key);
    } finally {
      came();
    }
  };

  const forget = async (branchId: string): Promise<void> => {
    const here = hereAt(branchId);
    if (performance.now() - here.forgotMs < FORGET_EVERY_MS) return;
    here.forgotMs = performance.now();
    await forgetWrites(store.db, branchId, KEPT_MS);
  };

  /** Writes until nothing waits. @returns false when somebody else has the lease */
  const run = async (ask: WriteAsk, writer: BranchWriter, heard: ReadonlySet<Hear>): Promise<boolean> => {
    const { branch } = ask;
    if (!(await takeLease(store.db, branch.id, holder, leaseMs))) return false;
    const lost = new AbortController();
    const beat = setInterval(() => {
      takeLease(store.db, branch.id, holder, leaseMs).then(
        (mine) => mine || lost.abort(lostLease()),
        () => undefined, // the database is away: the lease lapses by its clock, and the next question tells
      );
    }, leaseMs / 3);
    let left: BranchHead | undefined;
    let writesSince = performance.now();
    try {
      await putBackLeft(store.db, branch.id, holder);
      for (;;) {
        if (performance.now() - writesSince > breath.afterMs) {
          await wait(breath.ms);
          writesSince = performance.now();
        }
        await gather(ask.branch.id);
        const { head, writes } = await takeWaiting(store.db, branch.id, holder, MOST_AT_ONCE);
        const here = hereAt(branch.id);
        for (const { key } of writes) here.standing.delete(key);
        here.lastMany = writes.length === 0 ? Infinity : writes.length;
        if (writes.length === 0) return true;
        passed('taken');
        const outcome = await writeBatch(
          { writer, branch, lastHead: head, left, edits: createEdits(here.readings), signal: lost.signal },
          writes,
        );
        left = outcome.left;
        passed('pushed');
        await finishWrites(store.db, branch.id, holder, outcome);
        passed('written');
        for (const hear of heard) hear(outcome.results);
        await forget(branch.id);
      }
    } catch (error) {
      await putBackWrites(store.db, branch.id, holder).catch(() => undefined); // the next to write puts them back
      throw error;
    } finally {
      clearInterval(beat);
      await leaveLease(store.db, branch.id, holder).catch(() => undefined); // it lapses
    }
  };

  const drive = (ask: WriteAsk, writer: BranchWriter): Drive => {
    const running = drives.get(ask.branch.id);
    if (running !== undefined) return running;
    const heard = new Set<Hear>();
    const ended = run(ask, writer, heard).finally(() => drives.delete(ask.branch.id));
    ended.catch(() => undefined); // whoever waits hears it
    const made = { ended, heard };
    drives.set(ask.branch.id, made);
    return made;
  };

  /** Waits until there may be something new. @returns how it ended, where the writer of this process tells it: nobody need ask the store */
  const news = async (key: string, { ended, heard }: Drive, signal: AbortSignal): Promise<WriteResult | null> => {
    let hear: Hear = () => undefined;
    let stop = (): void => undefined;
    const told = new Promise<WriteResult | true>((resolve) => {
      hear = (results) => resolve(results.get(key) ?? true);
      stop = () => resolve(true);
      heard.add(hear);
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      const first = signal.aborted ? false : await Promise.race([ended, told]);
      if (typeof first === 'object') return first;
      if (!first) await wait(POLL_MS);
      return null;
    } finally {
      heard.delete(hear);
      signal.removeEventListener('abort', stop);
    }
  };

  return {
    expect,
    write: async (ask, writer, signal) => {
      signal.throwIfAborted();
      await enterLine(ask);
      passed('asked');
      const beat = setInterval(() => {
        if (!signal.aborted) stayWanted(store.db, ask.key, WANTED_MS).catch(() => undefined);
      }, WANTED_MS / 4);
      try {
        for (;;) {
          if (signal.aborted && (await withdrawWrite(store.db, ask.key))) throw signal.reason;
          const told = await news(ask.key, drive(ask, writer), signal);
          const seen = told ?? (await writeState(store.db, ask.key));
          if (seen.kind === 'written') return seen.commit;
          if (seen.kind === 'refused') throw new GitopsError(seen.problem);
        }
      } catch (error) {
        clearInterval(beat);
        await withdrawWrite(store.db, ask.key).catch(() => undefined);
        throw error;
      } finally {
        clearInterval(beat);
        hereAt(ask.branch.id).standing.delete(ask.key);
      }
    },
    close: async () => {
      await Promise.allSettled([...drives.values()].map(({ ended }) => ended));
    },
  };
}

function lostLease(): GitopsError {
  return new GitopsError({
    code: 'gitops.busy',
    what: 'Another server took over the writing to this branch.',
    fix: 'It is tried again by itself.',
  });
}
