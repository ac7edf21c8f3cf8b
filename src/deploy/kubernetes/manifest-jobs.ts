import { setTimeout as wait } from 'node:timers/promises';

import { z } from 'zod';

import { jobFailed } from './deployment-error.ts';
import { podOf } from './look.ts';
import { isJob, type Manifest, nameOf, refOf } from './manifest.ts';
import { NOTE, placeFilter } from './names.ts';
import { applyObject, pathOf } from './objects.ts';
import type { Rollout } from './rollout.ts';

const Status = z.looseObject({
  conditions: z
    .array(z.looseObject({ type: z.string(), status: z.string(), message: z.string().optional() }))
    .optional(),
});

const LOOK_MS = 200;

/**
 * Gives what comes before to the cluster, in the order of the manifests, before anything else moves, and each Job of it has to end
 * before the next. A Job of this operation that is there already is waited for: it runs once.
 * @throws DeployError `kubernetes.job-failed`
 */
export async function runJobs(rollout: Rollout): Promise<void> {
  const { cluster, place, desired, context, clock, manifests } = rollout;
  for (const job of manifests.filter(comesBefore)) {
    const { token, log, signal } = context;
    await applyObject(cluster, place, job, { token, log, conflicts: desired.config.conflicts });
    if (!isJob(job)) continue; // such as settings that a Job reads
    const path = await pathOf(cluster, place, refOf(job));
    for (const deadline = clock.elapsed() + desired.config.timeoutMs; ; await wait(LOOK_MS, undefined, { signal })) {
      const there = await cluster.kubernetes.get(path);
      const conditions = Status.parse(there?.['status'] ?? {}).conditions ?? [];
      if (isTrue(conditions, 'Complete')) break;
      const end = conditions.find(({ type, status }) => type === 'Failed' && status === 'True');
      if (end !== undefined)
        throw jobFailed(job.metadata.name, [end.message ?? '', ...(await wordsOf(rollout, job))].filter(Boolean));
      if (there === null) throw jobFailed(job.metadata.name, ['somebody removed it while it ran']);
      if (clock.elapsed() >= deadline)
        throw jobFailed(job.metadata.name, [`it did not end within ${desired.config.timeoutMs / 1000} s`]);
    }
    log(`${nameOf(refOf(job))} is complete`);
  }
}

export function comesBefore({ metadata: { annotations } }: Manifest): boolean {
  return annotations?.[NOTE.when] === 'before';
}

function isTrue(conditions: readonly { type: string; status: string }[], wanted: string): boolean {
  return conditions.some(({ type, status }) => type === wanted && status === 'True');
}

async function wordsOf({ cluster, place }: Rollout, job: Manifest): Promise<string[]> {
  const labels = [...placeFilter(place), `batch.kubernetes.io/job-name=${job.metadata.name}`];
  const pods = (await cluster.kubernetes.list(`/api/v1/namespaces/${place.namespace}/pods`, { labels })) ?? [];
  const ends = pods.flatMap((pod) => podOf(pod).containers.map(({ state }) => state?.terminated));
  return [...new Set(ends.flatMap((end) => (end === undefined ? [] : [`exit code ${end.exitCode ?? '?'}`])))];
}
