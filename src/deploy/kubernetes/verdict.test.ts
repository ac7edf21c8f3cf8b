import { expect, test } from 'vitest';

import type { Pod } from './look.ts';
import { wordsOf, workloadVerdict } from './verdict.ts';

const deployment = (status: Record<string, unknown>, kind = 'Deployment') => ({
  apiVersion: 'apps/v1',
  kind,
  metadata: { name: 'web', uid: '1', resourceVersion: '1', generation: 2 },
  spec: { replicas: 2 },
  status: { observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2, ...status },
});
const pod = (container: Record<string, unknown>, conditions: Pod['conditions'] = []): Pod => ({
  name: 'web-1',
  uid: '1',
  operation: 'one',
  services: { web: 'web' },
  phase: 'Running',
  conditions,
  containers: [{ name: 'web', ...container }],
  asked: {},
  isReady: false,
  isLeaving: false,
  labels: {},
});

test('done is a workload only when its controller has seen the newest generation, and nothing of before is left', () => {
  expect(workloadVerdict(deployment({}), []).kind).toBe('done');
  for (const status of [
    { observedGeneration: 1 },
    { replicas: 3 },
    { updatedReplicas: 1 },
    { availableReplicas: 1 },
    { availableReplicas: undefined },
  ])
    expect([status, workloadVerdict(deployment(status), []).kind]).toEqual([status, 'waiting']);
  const daemons = { desiredNumberScheduled: 3, currentNumberScheduled: 3, updatedNumberScheduled: 3 };
  expect(workloadVerdict(deployment({ ...daemons, numberAvailable: 3 }, 'DaemonSet'), []).kind).toBe('done');
  expect(workloadVerdict(deployment({ ...daemons, numberAvailable: 2 }, 'DaemonSet'), []).kind).toBe('waiting');
});

test.each([
  [
    { state: { waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image' } } },
    'kubernetes.image-unavailable',
  ],
  [
    {
      state: { waiting: { reason: 'CrashLoopBackOff' } },
      lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } },
    },
    'deploy.exited',
  ],
  [
    { state: { waiting: { reason: 'CreateContainerConfigError', message: 'secret not found' } } },
    'kubernetes.settings-missing',
  ],
])('a pod that says %j fails the rollout at once', (container, code) => {
  expect(workloadVerdict(deployment({ availableReplicas: 1 }), [pod(container)])).toMatchObject({
    kind: 'failed',
    code,
  });
});

test('a rollout that its controller gave up, or whose pods are not let in, has failed and says why', () => {
  const conditions = [
    { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message: 'has timed out progressing.' },
  ];
  const waits = [
    { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3 nodes are available.' },
  ];
  expect(workloadVerdict(deployment({ availableReplicas: 1, conditions }), [pod({}, waits)])).toEqual({
    kind: 'failed',
    code: 'kubernetes.no-node',
    why: ['has timed out progressing.', 'no node takes it (0/3 nodes are available)'],
  });
  expect(workloadVerdict(deployment({ availableReplicas: 1, conditions }), [pod({})])).toMatchObject({
    code: 'deploy.unhealthy',
  });
  const refusal = (message: string) =>
    workloadVerdict(deployment({ conditions: [{ type: 'ReplicaFailure', status: 'True', message }], replicas: 1 }), []);
  expect(refusal('pods "web-1" is forbidden: violates PodSecurity "baseline:latest"')).toMatchObject({
    code: 'kubernetes.pods-refused',
  });
  expect(refusal('is forbidden: error looking up service account shop/default').kind).toBe('waiting');
});

test('pods that run and are not well say so', () => {
  expect(
    wordsOf([pod({ ready: false, state: { running: {} } }), pod({ ready: false, state: { running: {} } })]),
  ).toEqual(['"web" runs and is not ready']);
});
