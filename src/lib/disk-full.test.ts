import { expect, test } from 'vitest';

import { isDiskFull } from './disk-full.ts';
import { problemOf } from './error.ts';

test('a full disk is known at any depth of causes, and by the word of Postgres', () => {
  const full = Object.assign(new Error('write failed'), { code: 'ENOSPC' });
  expect(problemOf(new Error('the layer could not be written', { cause: full })).code).toBe('disk.full');
  expect(isDiskFull({ code: '53100' })).toBe(true);
  expect(isDiskFull(Object.assign(new Error('none'), { code: 'ENOENT' }))).toBe(false);
});

test('an error that is its own cause ends the search', () => {
  const circle = new Error('round and round');
  circle.cause = circle;
  expect(isDiskFull(circle)).toBe(false);
});
