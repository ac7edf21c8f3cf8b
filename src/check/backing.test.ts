import { expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { backingSchema, imagesOf, pinnedParts, variablesOfParts } from './backing.ts';

const payments = backingSchema.parse({
  image: 'team/payments:3',
  port: 8080,
  tells: { PAYMENTS: 'http://payments:8080' },
  mock: { image: 'team/payments-mock:1', port: 9090, tells: { PAYMENTS: 'http://payments:9090/mock' } },
});
const backing = { payments, 'search-index': backingSchema.parse({ image: 'search:1', port: 9200 }) };
const pins = { 'team/payments:3': sha256('3'), 'team/payments-mock:1': sha256('mock'), 'search:1': sha256('s') };

test('both the part and its mock are resolved, and one of them stands beside a check, under the same name', () => {
  expect(imagesOf(backing)).toEqual(Object.keys(pins));
  const real = pinnedParts(backing, [], pins);
  const mocked = pinnedParts(backing, ['payments', 'search-index'], pins);
  expect(real.map(({ name, digest }) => [name, digest])).toEqual([
    ['payments', sha256('3')],
    ['search-index', sha256('s')],
  ]);
  expect(mocked.map(({ name, digest }) => [name, digest])).toEqual([
    ['payments', sha256('mock')],
    ['search-index', sha256('s')],
  ]);
});

test('a check is told where its parts are, and what they tell', () => {
  expect(variablesOfParts(pinnedParts(backing, ['payments'], pins))).toEqual({
    TOWPATH_PAYMENTS_HOST: 'payments',
    TOWPATH_PAYMENTS_PORT: '9090',
    PAYMENTS: 'http://payments:9090/mock',
    TOWPATH_SEARCH_INDEX_HOST: 'search-index',
    TOWPATH_SEARCH_INDEX_PORT: '9200',
  });
});
