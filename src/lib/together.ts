/**
 * Does in one what several ask for at one moment: those who come while the last is under way go into the next. Where one of them
 * makes all fail, each is tried alone.
 * @param run answers in the order of what is asked
 * @param keyOf those of one key go one after the other
 * @param isOfAll whether a failure says nothing of what is asked: then all hear it at once
 */
export function together<T, R>(
  run: (asked: readonly T[]) => Promise<readonly R[]>,
  keyOf: (asked: T) => string,
  isOfAll: (error: unknown) => boolean = () => false,
): (asked: T) => Promise<R> {
  let waiting: Waiting<T, R>[] = [];
  let isRunning = false;

  const take = (): Waiting<T, R>[] => {
    const taken = new Map<string, Waiting<T, R>>();
    const left = waiting.filter((one) => {
      const key = keyOf(one.asked);
      if (taken.has(key)) return true;
      taken.set(key, one);
      return false;
    });
    waiting = left;
    return [...taken.values()];
  };

  const runAll = async (all: readonly Waiting<T, R>[]): Promise<void> => {
    try {
      const answers = await run(all.map(({ asked }) => asked));
      for (const [at, { resolve }] of all.entries()) resolve(answers[at] as R); // one for each
    } catch (error) {
      if (all.length === 1 || isOfAll(error)) for (const { reject } of all) reject(error);
      else for (const one of all) await runAll([one]);
    }
  };

  const runOn = async (): Promise<void> => {
    while (waiting.length > 0) await runAll(take());
    isRunning = false;
  };

  return (asked) =>
    new Promise((resolve, reject) => {
      waiting.push({ asked, resolve, reject });
      if (isRunning) return;
      isRunning = true;
      setImmediate(() => void runOn());
    });
}

interface Waiting<T, R> {
  readonly asked: T;
  readonly resolve: (answer: R) => void;
  readonly reject: (error: unknown) => void;
}
