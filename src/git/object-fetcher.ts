import { setImmediate as nextTurn } from 'node:timers/promises';

import type { ObjectReader } from './object-reader.ts';

/** Brings objects that a blobless mirror left on the server. */
export interface ObjectFetcher {
  /** Makes sure that all of `oids` are here. Those that are here already cost no network. */
  prefetch(oids: readonly string[]): Promise<void>;
}

interface Batch {
  readonly oids: Set<string>;
  readonly done: Promise<void>;
}

/**
 * Each missing object would cost a round trip of its own; so all that is asked for while a fetch is under way travels
 * together in the next one.
 * @param fetch brings a non-empty set of objects in one request
 */
export function createObjectFetcher(
  reader: ObjectReader,
  fetch: (oids: readonly string[]) => Promise<void>,
): ObjectFetcher {
  let running: Promise<void> = Promise.resolve();
  let next: Batch | undefined;

  const enqueue = (oids: readonly string[]): Promise<void> => {
    if (next === undefined) {
      const wanted = new Set<string>();
      const before = running;
      const done = (async () => {
        await before.catch(() => undefined);
        await nextTurn();
        next = undefined;
        await fetch([...wanted]);
      })();
      running = done;
      next = { oids: wanted, done };
    }
    for (const oid of oids) next.oids.add(oid);
    return next.done;
  };

  return {
    prefetch: async (oids) => {
      const unique = [...new Set(oids)];
      const here = await Promise.all(unique.map((oid) => reader.has(oid)));
      const missing = unique.filter((_, i) => here[i] === false);
      if (missing.length > 0) await enqueue(missing);
    },
  };
}
