import type { PromotionView } from '../flow/view/promotion.ts';
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
  const client = await context.client();
  const over = AbortSignal.timeout(timeoutMs);
  const done = new AbortController();
  const signal = AbortSignal.any([over, context.io.signal, done.signal]);
  const bell = createBell();
  void ring(client, started.project, bell.ring, signal);
  try {
    for (let promotion = started; ;) {
      context.out.progress(lineOf(promotion));
      if (promotion.endedAt !== null) return promotion;
      await bell.wait(RECHECK_MS, signal);
      if (context.io.signal.aborted) throw cancelled();
      if (over.aborted) throw tooLong(promotion);
      promotion = (await look(client, started.id, context)) ?? promotion;
    }
  } finally {
    done.abort();
    context.out.settle();
  }
}

/** A server that restarts is waited for: `--timeout` is the patience of whoever asked. */
async function look(client: Client, promotion: string, { out }: Context): Promise<PromotionView | null> {
  try {
    return await client.call('promotion.show', { params: { promotion } });
  } catch (error) {
    if (!hasCode(error, 'cli.server-unreachable', 'http.stopping')) throw error;
    out.progress(`waiting for ${client.server}`);
    return null;
  }
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

export interface Bell {
  readonly ring: () => void;
  /** Until it rings, `ms` pass, or the signal comes. A ring that came before counts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export function createBell(): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring: () => {
      rung = true;
      wake?.();
    },
    wait: async (ms, signal) => {
      if (!rung) await Promise.race([pause(ms, signal), new Promise<void>((resolve) => (wake = resolve))]);
      rung = false;
    },
  };
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
    what: `The time is over and the promotion has not ended: ${lineOf(promotion)}.`,
    fix: `It goes on. Ask again with \`towpath why ${promotion.id}\`, or stop it with \`towpath cancel ${promotion.id}\`.`,
  });
}
