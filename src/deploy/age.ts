import type { Clock } from '../lib/clock.ts';

/** Something that was started, at an instant that was stored. */
export interface Started {
  readonly id: string;
  readonly startedAtMs: number;
}

/** How many it remembers: far more than one machine runs; what is forgotten is measured from the next look on. */
const REMEMBERED = 10_000;

/**
 * Tells for how long things have run. What was stored is believed at the first look only, and from then on the time that
 * passes is counted: so a clock that is set meanwhile makes nothing old at once, and nothing young for hours.
 */
export function ageMeter(clock: Clock): (started: Started) => number {
  const births = new Map<string, number>();
  return ({ id, startedAtMs }) => {
    const key = `${id} ${startedAtMs}`;
    let birth = births.get(key);
    if (birth === undefined) {
      birth = clock.elapsed() - Math.max(0, clock.now() - startedAtMs);
      const [oldest] = births.keys();
      if (births.size >= REMEMBERED && oldest !== undefined) births.delete(oldest);
      births.set(key, birth);
    }
    return clock.elapsed() - birth;
  };
}
