import { writeImage } from './image-field.ts';
import { createReadings, type Readings } from './manifest/readings.ts';
import type { WriteRequest } from './write-request.ts';

/** Path -> bytes. */
export type Files = ReadonlyMap<string, Buffer>;

interface Asked {
  readonly key: string;
  readonly request: WriteRequest;
}

/**
 * What each write of a batch makes of the files that it changes. To read them and to prove the change is most of what a write costs, and upon
 * another head it is the same, as long as they are.
 */
export interface Edits {
  /** @param before the files of the write @throws GitopsError */
  of(write: Asked, before: Files): Files;
}

/** @param readings of batches before */
export function createEdits(readings: Readings = createReadings()): Edits {
  const known = new Map<string, { readonly before: Files; readonly after: Files }>();

  return {
    of: ({ key, request: { edits, style } }, before) => {
      const found = known.get(key);
      if (found !== undefined && areSame(found.before, before)) return found.after;
      const after = new Map(before);
      for (const { place, image } of edits)
        after.set(place.file, writeImage(after.get(place.file) ?? Buffer.alloc(0), place, image, style, readings));
      known.set(key, { before, after });
      return after;
    },
  };
}

function areSame(some: Files, others: Files): boolean {
  return some.size === others.size && [...some].every(([path, bytes]) => others.get(path)?.equals(bytes) === true);
}
