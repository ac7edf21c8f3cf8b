import assert from 'node:assert';
import { test } from 'node:test';

import { total } from '../src/basket.js';
import { formatPrice } from '../src/price.js';

test('a basket costs what is in it', () => {
  assert.equal(
    total([
      { item: 'tea', count: 2 },
      { item: 'cup', count: 1 },
    ]),
    2100,
  );
});

test('the tenth of a kind is free', () => {
  assert.equal(total([{ item: 'tea', count: 10 }]), total([{ item: 'tea', count: 9 }]));
});

test('what is not sold has no price', () => {
  assert.throws(() => total([{ item: 'constructor', count: 1 }]), RangeError);
});

test('a price is written with its currency', () => {
  assert.equal(formatPrice(2100, 'USD'), '$21.00');
});
