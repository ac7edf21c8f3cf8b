import { expect, test } from 'vitest';

import type { JobEnd } from '../driver.ts';
import { jobEnd } from './job-end.ts';
import { podOf } from './look.ts';

const NOTE = { 'towpath.dev/services': '{"front":"web"}' };
const job = (type: string, reason = '') => ({
  metadata: { name: 'web-job-1', uid: '1', resourceVersion: '1' },
  status: { conditions: [{ type, status: 'True', reason }] },
});
const pod = (status: Record<string, unknown>) =>
  podOf({ metadata: { name: 'web-job-1-a', uid: '2', resourceVersion: '1', annotations: NOTE }, status });
const ended = (name: string, terminated: Record<string, unknown>) => ({ name, state: { terminated } });

test('a Job that the cluster has not ended has no end, whatever its pod says', () => {
  const done = pod({ phase: 'Failed', containerStatuses: [ended('front', { exitCode: 3 })] });
  expect(jobEnd(job('FailureTarget'), [done], 'web')).toBeNull();
  expect(jobEnd({ metadata: { name: 'a', uid: '1', resourceVersion: '1' } }, [], 'web')).toBeNull();
});

test.each<[string, ReturnType<typeof job>, Record<string, unknown>[], JobEnd]>([
  ['one that is complete', job('Complete'), [], { kind: 'exited', code: 0 }],
  [
    'one that failed, with the exit code of its own program',
    job('Failed', 'BackoffLimitExceeded'),
    [
      {
        initContainerStatuses: [ended('proxy', { exitCode: 143 })],
        containerStatuses: [ended('front', { exitCode: 3, reason: 'Error' })],
      },
    ],
    { kind: 'exited', code: 3 },
  ],
  [
    'one that what begins before it kept from running',
    job('Failed', 'BackoffLimitExceeded'),
    [{ initContainerStatuses: [ended('wait-for-db', { exitCode: 7 })] }],
    { kind: 'exited', code: 7 },
  ],
  [
    'one that wanted more memory',
    job('Failed', 'BackoffLimitExceeded'),
    [{ containerStatuses: [ended('front', { exitCode: 137, reason: 'OOMKilled' })] }],
    { kind: 'out-of-memory' },
  ],
  [
    'one whose pod was put off its node',
    job('Failed', 'BackoffLimitExceeded'),
    [
      {
        conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }],
        containerStatuses: [ended('front', { exitCode: 143 })],
      },
    ],
    { kind: 'killed', signal: 'EvictionByEvictionAPI' },
  ],
  ['one that the cluster ended, for no server did', job('Failed', 'DeadlineExceeded'), [], { kind: 'timed-out' }],
  ['one whose pod somebody removed', job('Failed', 'BackoffLimitExceeded'), [], { kind: 'lost' }],
])('%s', (_what, of, statuses, end) => {
  expect(jobEnd(of, statuses.map(pod), 'web')).toEqual(end);
});
