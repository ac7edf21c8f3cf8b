import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import { createFreshObjects } from './fresh-objects.ts';

const MOST = 100;

/** What happens to them: some come, or a fetch begins that brings all that the server had by then, or one ends. */
const story = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ add: fc.integer({ min: 1, max: 8 }) }) },
    fc.constant('fetch' as const),
    fc.record({ end: fc.nat(3), isBehind: fc.boolean() }),
  ),
  { minLength: 5, maxLength: 30, size: 'max' },
);

test('what is neither remembered nor on the disk is known to be missing, however many fetches are under way', async () => {
  await fc.assert(
    fc.asyncProperty(story, async (steps) => {
      const fresh = createFreshObjects(MOST);
      const [added, onDisk] = [new Set<string>(), new Set<string>()];
      const fetches: { end: (isAll: boolean) => void; has: Set<string>; over: Promise<void> }[] = [];
      for (const step of steps) {
        if (step === 'fetch') {
          let end: (isAll: boolean) => void = () => undefined;
          const over = fresh.forgetBy(() => new Promise((resolve) => (end = resolve)));
          fetches.push({ end, has: new Set(added), over });
        } else if ('add' in step) {
          const oids = Array.from({ length: step.add }, (_, at) => `${added.size + at}`);
          fresh.add(new Map(oids.map((oid) => [oid, { type: 'blob', bytes: Buffer.alloc(15) }])));
          for (const oid of oids) added.add(oid);
        } else {
          const [one] = fetches.splice(step.end % Math.max(fetches.length, 1), 1);
          if (one !== undefined && !step.isBehind) for (const oid of one.has) onDisk.add(oid);
          one?.end(!step.isBehind);
          await one?.over;
        }
        const isMissing = [...added].some((oid) => !fresh.has(oid) && !onDisk.has(oid));
        if (isMissing) expect(fresh.areIncomplete()).toBe(true);
      }
      for (const { end, over } of fetches) {
        end(true);
        await over;
      }
      await fresh.forgetBy(() => Promise.resolve(true));
      expect(fresh.areIncomplete()).toBe(false);
    }),
    cases(2_000),
  );
});
