import { createBell } from '../lib/bell.ts';
import { isTransient } from './database.ts';
import type { Store } from './database.ts';

export interface Following<Row> {
  readonly store: Store;
  readonly channel: string;
  /** Reads what comes next, a page at a time; empty when there is nothing yet. It keeps its own place. */
  readonly next: () => Promise<readonly Row[]>;
  /** Which notifications are worth a look; all when not given. */
  readonly matches?: (payload: string) => boolean;
  readonly signal: AbortSignal;
}

/** A notification may be lost with a broken connection between two looks: nobody waits longer than this. */
const LOOK_AGAIN_MS = 5_000;

/** Gives rows as they come, until the signal is aborted. Missed and doubled notifications change only when it looks. */
export async function* follow<Row>({ store, channel, next, matches, signal }: Following<Row>): AsyncGenerator<Row> {
  const bell = createBell(signal);
  const stop = await store.listen(channel, (payload) => {
    if (payload === '' || (matches?.(payload) ?? true)) bell.ring();
  });
  try {
    while (!signal.aborted) {
      const rows = await next().catch((error: unknown) => {
        if (isTransient(error)) return []; // an outage: look again when the connection is back
        throw error;
      });
      yield* rows;
      if (rows.length === 0) await bell.wait(LOOK_AGAIN_MS);
    }
  } finally {
    await stop();
  }
}
