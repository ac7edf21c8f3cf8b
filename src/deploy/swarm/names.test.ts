import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { Target } from '../driver.ts';
import { placeName, contentName, serviceName } from './names.ts';

const anyTarget: fc.Arbitrary<Target> = fc.record({
  project: fc.string(),
  environment: fc.string(),
  slug: fc.string(),
});
const anyPlace = fc.record({ target: anyTarget, installation: fc.string() });

test('every name is one that a Swarm takes, whatever things are called', () => {
  fc.assert(
    fc.property(anyPlace, fc.string(), fc.string(), (place, name, value) => {
      for (const made of [placeName(place), serviceName(place, name), contentName(place, name, value)]) {
        expect(made).toMatch(/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/);
      }
    }),
  );
});

test('things that differ have names that differ', () => {
  fc.assert(
    fc.property(anyPlace, anyPlace, fc.string(), fc.string(), (one, other, a, b) => {
      const isSame = JSON.stringify(one) === JSON.stringify(other);
      expect(serviceName(one, a) === serviceName(other, b)).toBe(isSame && a === b);
      expect(contentName(one, 'TOKEN', a) === contentName(one, 'TOKEN', b)).toBe(a === b);
    }),
  );
});
