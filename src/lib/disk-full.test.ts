import { expect, test } from 'vitest';

import { isDiskFull, saysDiskFull } from './disk-full.ts';
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

test('a program says so at the end of its words, and what it quotes before that is not its own', () => {
  expect(saysDiskFull('write /var/lib/docker/tmp/x: no space left on device')).toBe(true);
  expect(saysDiskFull('writing blob: Disk quota exceeded.')).toBe(true);
  expect(saysDiskFull('tar file(write /bin/busybox: no space left on device): exit status 1')).toBe(true);
  expect(saysDiskFull('process "echo no space left on device; exit 1" did not complete: exit code: 1')).toBe(false);
});
