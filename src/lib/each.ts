import { limiter } from './limiter.ts';

/** Works on all, `most` at once, and ends when all have ended. @throws what the first of them in order threw */
export async function each<T>(items: readonly T[], most: number, work: (item: T) => Promise<unknown>): Promise<void> {
  const limit = limiter(most);
  const done = await Promise.allSettled(items.map((item) => limit(() => work(item))));
  for (const one of done) if (one.status === 'rejected') throw one.reason;
}

/**
 * Works on what comes, `most` at once; nothing is read ahead of the work. After a failure nothing more is begun.
 * @throws what failed first, when what was under way has ended
 */
export async function eachOf<T>(
  items: AsyncIterable<T>,
  most: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const source = items[Symbol.asyncIterator]();
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    try {
      while (failures.length === 0) {
        const next = await source.next();
        if (next.done === true) return;
        await work(next.value);
      }
    } catch (error) {
      failures.push(error);
    }
  };
  await Promise.all(Array.from({ length: most }, worker));
  if (failures.length === 0) return;
  await source.return?.();
  throw failures[0];
}
