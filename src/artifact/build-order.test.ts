import fc from 'fast-check';
import { expect, test } from 'vitest';

import { buildOrder } from './build-order.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f'];
const anyServices = fc
  .tuple(...names.map(() => fc.uniqueArray(fc.constantFrom(...names, 'unknown'), { maxLength: 3 })))
  .map((lists) => Object.fromEntries(names.map((name, index) => [name, { bases: lists[index] ?? [] }])));

test('every service comes once, and after all its bases where no circle is told of', () => {
  fc.assert(
    fc.property(anyServices, (services) => {
      const circles: (readonly string[])[] = [];
      const order = buildOrder(services, (circle) => circles.push(circle));
      expect(order.toSorted()).toEqual(names);
      for (const circle of circles) {
        expect(circle.at(0)).toBe(circle.at(-1));
        for (const [index, name] of circle.slice(1).entries())
          expect(services[circle[index] ?? '']?.bases).toContain(name);
      }
      if (circles.length > 0) return;
      for (const [index, name] of order.entries())
        for (const base of services[name]?.bases ?? [])
          if (base !== 'unknown') expect(order.indexOf(base)).toBeLessThan(index);
    }),
  );
});
