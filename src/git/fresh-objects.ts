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
  /**
   * @param fetch brings to the disk what the server has; several may be under way. @returns whether that is all which it took from
   * us: then what was here when it began is forgotten
   */
  forgetBy(fetch: () => Promise<boolean>): Promise<void>;
}

/** A repository of a hundred thousand manifests takes forty kilobytes for each commit. */
const MOST_BYTES = 16 * 1024 * 1024;

export function createFreshObjects(mostBytes = MOST_BYTES): FreshObjects {
  const objects = new Map<string, PackedObject>();
  let bytes = 0;
  /** How many were forgotten since the beginning, and how many of those are on the disk by now. */
  let [gone, found] = [0, 0];

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
        gone += 1;
      }
    },
    areIncomplete: () => gone > found,
    forgetBy: async (fetch) => {
      const [here, goneBefore] = [[...objects.keys()], gone];
      if (!(await fetch())) return;
      for (const oid of here) forget(oid);
      found = Math.max(found, goneBefore);
    },
  };
}
