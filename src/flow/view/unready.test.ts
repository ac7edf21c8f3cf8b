import { expect, test } from 'vitest';

import type { ReleaseView } from './release.ts';
import { unreadyOf, unreadyText } from './unready.ts';

const told = (...releases: ReleaseView[]): string[] => unreadyOf(releases).map(unreadyText);

test('the newest commit of a branch that is nowhere says why', () => {
  const problem = { code: 'release.build-failed', what: '"api" has no artifact: its test failed.', fix: 'Push.' };
  expect(told(release(2, 'failed', { problem }))).toEqual([
    '#2 0000002 (main) has no artifacts: "api" has no artifact: its test failed.',
  ]);
  expect(told(release(3, 'building'))).toEqual(['#3 0000003 (main) is being built.']);
  const away = { code: 'registry.unreachable', what: 'The registry is away.', fix: 'Wait.' };
  expect(told(release(3, 'building', { problem: away }))).toEqual(['#3 0000003 (main) waits: The registry is away.']);
  expect(told(release(4, 'building', { names: [], mixed: true }))).toEqual(['#4 0000004 is being built.']);
});

test('a failure that a later commit repaired, or whose branch is gone, is history', () => {
  expect(told(release(3, 'ready'), release(2, 'failed'))).toEqual([]);
  expect(told(release(3, 'ready'), release(2, 'failed', { names: [] }))).toEqual([]);
});

function release(number: number, state: ReleaseView['state'], more: Partial<ReleaseView> = {}): ReleaseView {
  return {
    id: `rel_${number}`,
    number,
    commit: `000000${number}`.padEnd(40, '0'),
    subject: 'A change',
    names: ['main'],
    yanked: false,
    state,
    mixed: false,
    author: 'Ana',
    createdAt: '2026-01-01T00:00:00.000Z',
    problem: null,
    yank: null,
    services: [],
    ...more,
  };
}
