import assert from 'node:assert';
import { test } from 'node:test';

import { wrapping } from '../src/gift.js';

test('nothing costs nothing to wrap', () => {
  assert.equal(wrapping(0), 0);
});

test('up to five things go into a small box', () => {
  assert.deepEqual([wrapping(1), wrapping(5)], [150, 150]);
});

test('more go into large boxes of twenty', () => {
  assert.deepEqual([wrapping(6), wrapping(20), wrapping(21)], [400, 400, 800]);
});
