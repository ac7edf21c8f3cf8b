import { limiter } from './limiter.ts';

/** Works on all, `most` at once, and ends when all have ended. @throws what the first of them in order threw */
export async function each<T>(items: readonly T[], most: number, work: (item: T) => Promise<unknown>): Promise<void> {
  const limit = limiter(most);
  const done = await Promise.allSettled(items.map((item) => limit(() => work(item))));
  for (const one of done) if (one.status === 'rejected') throw one.reason;
}
