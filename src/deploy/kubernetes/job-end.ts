import { z } from 'zod';

import type { KubernetesObject } from '../../container/kubernetes/kubernetes.ts';
import type { JobEnd } from '../driver.ts';
import { type Pod, runs } from './look.ts';

const Status = z.looseObject({
  conditions: z
    .array(z.looseObject({ type: z.string(), status: z.string(), reason: z.string().optional() }))
    .optional(),
});

/**
 * How the program of a Job ended, as its pods tell; null while it has not.
 * @param pods of the Job, looked at after it
 */
export function jobEnd(job: KubernetesObject, pods: readonly Pod[], service: string): JobEnd | null {
  const conditions = (Status.parse(job['status'] ?? {}).conditions ?? []).filter(({ status }) => status === 'True');
  if (conditions.some(({ type }) => type === 'Complete')) return { kind: 'exited', code: 0 };
  const failed = conditions.find(({ type }) => type === 'Failed');
  if (failed === undefined) return null;
  if (failed.reason === 'DeadlineExceeded') return { kind: 'timed-out' };
  return pods.map((pod) => endOf(pod, service)).find((end) => end !== null) ?? { kind: 'lost' };
}

/** A pod that was put off its node says so, whatever its program made of the signal. */
function endOf(pod: Pod, service: string): JobEnd | null {
  const away = pod.conditions.find(({ type, status }) => type === 'DisruptionTarget' && status === 'True');
  if (away !== undefined) return { kind: 'killed', signal: away.reason ?? 'its pod was put off the node' };
  const own = new Set(runs(pod, service));
  const ends = pod.containers
    .toSorted((one, other) => Number(own.has(other.name)) - Number(own.has(one.name)))
    .flatMap(({ state }) => (state?.terminated === undefined ? [] : [state.terminated]))
    .filter(({ exitCode, reason }) => exitCode !== 0 || reason === 'OOMKilled');
  const [end] = ends;
  if (end === undefined) return null;
  if (end.reason === 'OOMKilled') return { kind: 'out-of-memory' };
  return end.exitCode === undefined ? null : { kind: 'exited', code: end.exitCode };
}
