import assert from 'node:assert';
import { test } from 'node:test';

import { reorder } from '../src/stock.js';

test('what runs low is filled up', () => {
  assert.deepEqual(reorder({ tea: 12, coffee: 3 }), [['coffee', 47]]);
});

test('a full store orders nothing', () => {
  assert.deepEqual(reorder({ tea: 50 }), []);
});
