import { z } from 'zod';

import type { KubernetesObject } from '../../container/kubernetes/kubernetes.ts';
import { type Condition, type ContainerStatus, type Pod } from './look.ts';

/** How one workload goes, by what the cluster says of it. */
export type Verdict =
  | { readonly kind: 'done' }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'failed'; readonly code: string; readonly why: readonly string[] };

const Workload = z.looseObject({
  spec: z.looseObject({ replicas: z.number().optional() }),
  status: z
    .looseObject({
      observedGeneration: z.number().optional(),
      replicas: z.number().optional(),
      updatedReplicas: z.number().optional(),
      readyReplicas: z.number().optional(),
      availableReplicas: z.number().optional(),
      desiredNumberScheduled: z.number().optional(),
      currentNumberScheduled: z.number().optional(),
      updatedNumberScheduled: z.number().optional(),
      numberAvailable: z.number().optional(),
      conditions: z
        .array(
          z.looseObject({
            type: z.string(),
            status: z.string(),
            reason: z.string().optional(),
            message: z.string().optional(),
          }),
        )
        .optional(),
    })
    .optional(),
});

/** What the cluster lets in neither now nor later; that an account of the namespace is not there yet passes. */
const BARRED = /violates PodSecurity|exceeded quota|denied the request/;
const UNFETCHED = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'RegistryUnavailable',
]);
const UNSTARTED = new Set(['CrashLoopBackOff', 'RunContainerError', 'CreateContainerError']);

/**
 * Done is a workload of which the controller has seen the newest generation, all replicas are of it and available, and no other is left.
 * @param pods of it, of the operation that is rolled out
 */
export function workloadVerdict(object: KubernetesObject, pods: readonly Pod[]): Verdict {
  const broken = pods.flatMap(brokenBy);
  const [first] = broken;
  if (first !== undefined) return { kind: 'failed', code: first.code, why: [...new Set(broken.map(({ why }) => why))] };
  const { spec, status = {} } = Workload.parse(object);
  if ((status.observedGeneration ?? 0) < (object.metadata.generation ?? 0)) return { kind: 'waiting' };
  const stuck = status.conditions?.find(
    ({ type, status: is, reason }) => type === 'Progressing' && is === 'False' && reason === 'ProgressDeadlineExceeded',
  );
  if (stuck !== undefined)
    return {
      kind: 'failed',
      code: lateCode(pods),
      why: [stuck.message ?? 'ProgressDeadlineExceeded', ...wordsOf(pods)],
    };
  const barred = status.conditions?.find(
    ({ type, status: is, message = '' }) => type === 'ReplicaFailure' && is === 'True' && BARRED.test(message),
  );
  if (barred !== undefined)
    return { kind: 'failed', code: 'kubernetes.pods-refused', why: [(barred.message ?? '').replace(/\.$/, '')] };
  const counts =
    object.kind === 'DaemonSet'
      ? [status.currentNumberScheduled, status.updatedNumberScheduled, status.numberAvailable]
      : [status.replicas, status.updatedReplicas, status.availableReplicas];
  const wanted = object.kind === 'DaemonSet' ? (status.desiredNumberScheduled ?? 0) : (spec.replicas ?? 1);
  return { kind: counts.every((count) => (count ?? 0) === wanted) ? 'done' : 'waiting' };
}

/** What it is when the time is over: where no node had room it says nothing about the artifacts. */
export function lateCode(pods: readonly Pod[]): string {
  return pods.some(({ conditions }) => conditions.some(isUnschedulable)) ? 'kubernetes.no-node' : 'deploy.unhealthy';
}

/** Why pods do not run, as far as they say. */
export function wordsOf(pods: readonly Pod[]): string[] {
  const words = pods.flatMap((pod) => [
    ...pod.conditions
      .filter(isUnschedulable)
      .map(({ message = '' }) => `no node takes it (${message.replace(/\.$/, '')})`),
    ...pod.containers.flatMap(({ name, ready, state }) =>
      state?.waiting?.reason !== undefined && state.waiting.reason !== 'ContainerCreating'
        ? [`"${name}" waits: ${state.waiting.reason}`]
        : state?.running !== undefined && ready === false
          ? [`"${name}" runs and is not ready`]
          : [],
    ),
  ]);
  return [...new Set(words)];
}

/** What keeps the containers of a pod from running. */
export function brokenBy({ containers }: Pod): { readonly code: string; readonly why: string }[] {
  return containers.flatMap((container) => {
    const { name, state } = container;
    const { reason = '', message = '' } = state?.waiting ?? {};
    if (UNFETCHED.has(reason))
      return [
        {
          code: 'kubernetes.image-unavailable',
          why: `the image of "${name}" cannot be fetched (${message || reason})`,
        },
      ];
    if (reason === 'CreateContainerConfigError')
      return [
        {
          code: 'kubernetes.settings-missing',
          why: `"${name}" cannot be set up: what its manifest refers to is not there (${message || reason})`,
        },
      ];
    if (UNSTARTED.has(reason))
      return [{ code: 'deploy.exited', why: endOf(container) ?? `"${name}" cannot start (${message || reason})` }];
    return [];
  });
}

function endOf({ name, state, lastState }: ContainerStatus): string | null {
  const end = lastState?.terminated ?? state?.terminated;
  if (end === undefined) return null;
  const how = end.reason !== undefined && end.reason !== 'Error' && end.reason !== 'Completed' ? `${end.reason}, ` : '';
  return `"${name}" ended by itself (${how}exit code ${end.exitCode ?? '?'})`;
}

function isUnschedulable({ type, status, reason }: Condition): boolean {
  return type === 'PodScheduled' && status === 'False' && reason === 'Unschedulable';
}
