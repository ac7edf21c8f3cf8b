export interface Bell {
  readonly ring: () => void;
  /** Until it is rung, `ms` are over, or the signal ends all. A ring that came while nobody waited counts. */
  wait(ms: number): Promise<void>;
}

/** For loops that look at once when somebody says so, and else every so often. */
export function createBell(signal: AbortSignal): Bell {
  let isRung = false;
  let wake: () => void = () => undefined;
  const ring = (): void => {
    isRung = true;
    wake();
  };
  signal.addEventListener('abort', ring, { once: true });
  return {
    ring,
    wait: async (ms) => {
      if (!isRung && !signal.aborted && ms > 0) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      isRung = false;
    },
  };
}
