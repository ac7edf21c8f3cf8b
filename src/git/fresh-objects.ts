import type { PackedObject } from './pack.ts';

/**
 * Objects that a server took from us and that are not on the disk here: whoever builds upon them mostly does so at once, and to
 * start git for each push takes longer than to remember them. The oldest are forgotten: the server has them.
 */
export interface FreshObjects {
  has(oid: string): boolean;
  get(oid: string): PackedObject | undefined;
  add(objects: ReadonlyMap<string, PackedObject>): void;
  /** Whether some were forgotten that may not be on the disk either. */
  areIncomplete(): boolean;
  /** @param fetch brings to the disk all that the server has: what was here when it began is forgotten when it is done */
  forgetBy(fetch: () => Promise<void>): Promise<void>;
}

/** A repository of a hundred thousand manifests takes forty kilobytes for each commit. */
const MOST_BYTES = 16 * 1024 * 1024;

export function createFreshObjects(mostBytes = MOST_BYTES): FreshObjects {
  const objects = new Map<string, PackedObject>();
  let bytes = 0;
  let lost = 0;

  const forget = (oid: string): void => {
    bytes -= objects.get(oid)?.bytes.length ?? 0;
    objects.delete(oid);
  };

  return {
    has: (oid) => objects.has(oid),
    get: (oid) => objects.get(oid),
    add: (added) => {
      for (const [oid, object] of added) {
        forget(oid); // to the end of the line
        objects.set(oid, object);
        bytes += object.bytes.length;
      }
      for (const oldest of objects.keys()) {
        if (bytes <= mostBytes) return;
        forget(oldest);
        lost += 1;
      }
    },
    areIncomplete: () => lost > 0,
    forgetBy: async (fetch) => {
      const [here, missing] = [[...objects.keys()], lost];
      await fetch();
      for (const oid of here) forget(oid);
      lost -= missing;
    },
  };
}
