import { setTimeout as pause } from 'node:timers/promises';

export interface Watched {
  /** Is it there, be it still recovering? */
  readonly isUp: () => Promise<boolean>;
  readonly start: () => Promise<void>;
  /** It was found ended; told once until it was up again. */
  readonly onEnded: () => Promise<void>;
}

const LOOK_MS = 1_000;
const LONGEST_PAUSE_MS = 8_000;

/**
 * Looks once a second whether something is up, and starts it where it is not, again and again with a growing pause: what
 * ended it (a full disk) may last. @returns ends the watch, and waits for a start that is under way
 */
export function keepUp({ isUp, start, onEnded }: Watched): () => Promise<void> {
  const ending = new AbortController();
  const watch = async (): Promise<void> => {
    let failures = 0;
    while (!ending.signal.aborted) {
      const delayMs = Math.min(LOOK_MS * 2 ** failures, LONGEST_PAUSE_MS);
      await pause(delayMs, undefined, { signal: ending.signal, ref: false }).catch(() => undefined);
      if (ending.signal.aborted) return;
      try {
        if (await isUp()) {
          failures = 0;
          continue;
        }
        if (failures === 0) await onEnded();
        failures += 1;
        await start();
      } catch {
        failures += 1; // no process, no memory, no space even for its log: the same again later
      }
    }
  };
  const watching = watch();
  return async () => {
    ending.abort();
    await watching;
  };
}
