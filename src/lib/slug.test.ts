import fc from 'fast-check';
import { expect, test } from 'vitest';

import { slugOf } from './slug.ts';

test('a slug is valid as an image tag, a DNS label and the prefix of an SQL identifier', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (name) => {
      expect(slugOf(name)).toMatch(/^[a-z][a-z0-9-]{0,39}$/);
      expect(slugOf(name)).not.toMatch(/-$/);
    }),
  );
});

test('two names never share a slug', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (one, other) => {
      expect(slugOf(one) === slugOf(other)).toBe(one === other);
    }),
  );
  expect(new Set(['a/b', 'a-b', 'A-b', 'a_b'].map((name) => slugOf(name))).size).toBe(4);
});

test('a slug stays readable', () => {
  expect(slugOf('feature/Basket-2')).toMatch(/^feature-basket-2-[0-9a-f]{8}$/);
});
