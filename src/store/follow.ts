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
      if (rows.length === 0) await bell.heard();
    }
  } finally {
    await stop();
  }
}

/** Remembers a ring that came while no one waited. */
function createBell(signal: AbortSignal): { ring(): void; heard(): Promise<void> } {
  let rung = false;
  let wake: (() => void) | undefined;
  const ring = (): void => {
    rung = true;
    wake?.();
  };
  return {
    ring,
    heard: async () => {
      if (!rung && !signal.aborted) {
        const timer = setTimeout(ring, LOOK_AGAIN_MS);
        signal.addEventListener('abort', ring, { once: true });
        await new Promise<void>((resolve) => (wake = resolve));
        signal.removeEventListener('abort', ring);
        clearTimeout(timer);
      }
      wake = undefined;
      rung = false;
    },
  };
}
