/** Time is an argument: nothing decides by reading the machine's clock by itself. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z: for instants that are stored, shown and compared with those of others. */
  now(): number;
  /** Milliseconds since some moment of this process: for durations, which no setting of the machine's clock changes. */
  elapsed(): number;
}

export const systemClock: Clock = { now: () => Date.now(), elapsed: () => performance.now() };

export interface FixedClock extends Clock {
  advance(ms: number): void;
  /** What `ntpd` or a person does: the time of day jumps, and no time passes. */
  set(ms: number): void;
}

/** A clock that stands still until a test moves it. */
export function fixedClock(startMs: number): FixedClock {
  let nowMs = startMs;
  let elapsedMs = 0;
  return {
    now: () => nowMs,
    elapsed: () => elapsedMs,
    advance: (ms) => {
      nowMs += ms;
      elapsedMs += ms;
    },
    set: (ms) => {
      nowMs = ms;
    },
  };
}
