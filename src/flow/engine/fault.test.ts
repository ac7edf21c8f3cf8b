import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { isArmed, isHit, readFaultPlan } from './fault.ts';

test('a fault hits its boundary the first time, or the time it names', () => {
  expect(isHit('promote:deploy:done', 'promote:deploy:done', 1)).toBe(true);
  expect(isHit('promote:deploy:done', 'promote:deploy:done', 2)).toBe(false);
  expect(isHit('promote:deploy:done#2', 'promote:deploy:done', 2)).toBe(true);
  expect(isHit('promote:deploy:done', 'promote:deploy:recorded', 1)).toBe(false);
  expect(isHit(undefined, 'promote:deploy:done', 1)).toBe(false);
});

test('without its variables nothing is planned', () => {
  expect(readFaultPlan({ TOWPATH_FAULT: '' })).toEqual({ at: undefined, onceFile: undefined, traceFile: undefined });
});

test('a fault in a file hits once, whoever passes first', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-fault-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, 'armed');
  expect(isArmed(file, 'promote:deploy:done')).toBe(false);
  await writeFile(file, 'promote:deploy:done\n');
  expect(isArmed(file, 'promote:deploy:before')).toBe(false);
  expect(isArmed(file, 'promote:deploy:done')).toBe(true);
  expect(isArmed(file, 'promote:deploy:done')).toBe(false);
});

test('a fault in a file counts the passings down, and other boundaries count for nothing', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-fault-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, 'armed');
  await writeFile(file, 'promote:look:done#3');
  expect(isArmed(file, 'promote:look:done')).toBe(false);
  expect(isArmed(file, 'promote:look:before')).toBe(false);
  expect(isArmed(file, 'promote:look:done')).toBe(false);
  expect(isArmed(file, 'promote:look:done')).toBe(true);
  expect(isArmed(file, 'promote:look:done')).toBe(false);
});
