import { setTimeout as wait } from 'node:timers/promises';

/** What servers still do of pushes that are done: their hooks, and their housekeeping. Nobody waits for it, up to a point. */
export interface Rests {
  add(rest: Promise<void>): void;
  /** Waits while as many are under way as there may be. */
  room(): Promise<void>;
  /** Waits for all, so long at most: they would not outlive this process. */
  over(mostMs: number): Promise<void>;
}

export function createRests(most = 8): Rests {
  const rests = new Set<Promise<void>>();
  return {
    add: (rest) => {
      rests.add(rest);
      void rest.finally(() => rests.delete(rest));
    },
    room: async () => {
      if (rests.size >= most) await Promise.race(rests);
    },
    over: async (mostMs) => {
      const late = new AbortController();
      await Promise.race([Promise.all(rests), wait(mostMs, undefined, { signal: late.signal }).catch(() => undefined)]);
      late.abort();
    },
  };
}
