import type { PromotionView } from '../flow/view/promotion.ts';
import { createBell } from '../lib/bell.ts';
import { hasCode } from '../lib/error.ts';
import { CliError } from './cli-error.ts';
import { cancelled, type Client } from './client.ts';
import type { Context } from './context.ts';

/** Looked at anew this often even when no event comes: events only wake. */
const RECHECK_MS = 5_000;

/**
 * Waits until a promotion has ended, showing on stderr what it waits for.
 * @throws CliError `cli.timeout` when `timeoutMs` is over first, `cli.cancelled` on Ctrl-C; the promotion goes on
 */
export async function waitForEnd(context: Context, started: PromotionView, timeoutMs: number): Promise<PromotionView> {
  return waitFor(context, {
    project: started.project,
    started,
    look: (client) => client.call('promotion.show', { params: { promotion: started.id } }),
    isOver: ({ endedAt }) => endedAt !== null,
    line: lineOf,
    timeoutMs,
    tooLong,
  });
}

export interface Wait<State> {
  readonly project: string;
  /** What is known already. */
  readonly started?: State;
  readonly look: (client: Client) => Promise<State>;
  readonly isOver: (state: State) => boolean;
  readonly line: (state: State) => string;
  /** A day when it is not given. */
  readonly timeoutMs?: number | undefined;
  readonly tooLong?: (state: State) => CliError;
}

const DAY_MS = 24 * 3_600_000;

/**
 * Waits until something is over, showing on stderr how far it is.
 * @throws CliError `cli.timeout`, `cli.cancelled`; what was asked for goes on
 */
export async function waitFor<State>(
  context: Context,
  { project, started, look, isOver, line, timeoutMs = DAY_MS, tooLong = stillUnderWay }: Wait<State>,
): Promise<State> {
  const client = await context.client();
  const over = AbortSignal.timeout(timeoutMs);
  const done = new AbortController();
  const signal = AbortSignal.any([over, context.io.signal, done.signal]);
  const bell = createBell(signal);
  void ring(client, project, bell.ring, signal);
  try {
    for (let state = started ?? (await look(client)); ;) {
      context.out.progress(line(state));
      if (isOver(state)) return state;
      await bell.wait(RECHECK_MS);
      if (context.io.signal.aborted) throw cancelled();
      if (over.aborted) throw tooLong(state);
      state = await lookAgain(client, look, state, context);
    }
  } finally {
    done.abort();
    context.out.settle();
  }
}

/** A server that restarts is waited for: `--timeout` is the patience of whoever asked. */
async function lookAgain<State>(
  client: Client,
  look: (client: Client) => Promise<State>,
  before: State,
  { out }: Context,
): Promise<State> {
  try {
    return await look(client);
  } catch (error) {
    if (!hasCode(error, 'cli.server-unreachable', 'http.stopping')) throw error;
    out.progress(`waiting for ${client.server}`);
    return before;
  }
}

function stillUnderWay(): CliError {
  return new CliError({
    code: 'cli.timeout',
    what: 'The time is over first.',
    fix: 'It goes on. `towpath status` shows how far it is.',
  });
}

export function lineOf({ release, environment, state, headline }: PromotionView): string {
  return `#${release.number} -> ${environment}: ${state}${headline === '' ? '' : `, ${headline}`}`;
}

/** Rings at every change that the server tells of; comes back by itself when the stream breaks. */
export async function ring(
  client: Client,
  project: string | undefined,
  strike: () => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const _event of client.stream('event.follow', { query: { project } }, signal)) strike();
    } catch {
      // The regular look finds out whether the server is gone.
    }
    await pause(1_000, signal);
    strike();
  }
}

export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}

function tooLong(promotion: PromotionView): CliError {
  return new CliError({
    code: 'cli.timeout',
    what: `The time is over and the promotion has not ended: ${lineOf(promotion)}`,
    fix: `It goes on. Ask again with \`towpath why ${promotion.id}\`, or stop it with \`towpath cancel ${promotion.id}\`.`,
  });
}
