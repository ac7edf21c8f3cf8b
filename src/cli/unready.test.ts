import { expect, test } from 'vitest';

import type { ReleaseView } from '../flow/view/release.ts';
import { unreadyText } from './unready.ts';

const plain = (_colour: string, text: string): string => text;

test('status says why the newest commit of a branch is nowhere', () => {
  const problem = { code: 'release.build-failed', what: '"api" has no artifact: its test failed.', fix: 'Push.' };
  expect(unreadyText('courier', [release(2, 'failed', { problem })], plain)).toEqual([
    'courier: #2 0000002 (main) has no artifacts: "api" has no artifact: its test failed.',
  ]);
  expect(unreadyText('courier', [release(3, 'building')], plain)).toEqual([
    'courier: #3 0000003 (main) is being built',
  ]);
});

test('a failure that a later commit of the branch repaired is history', () => {
  expect(unreadyText('courier', [release(3, 'ready'), release(2, 'failed')], plain)).toEqual([]);
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
