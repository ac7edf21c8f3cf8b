import { z } from 'zod';

import { resourceOf } from '../../../container/kubernetes/resources.ts';
import type { Sight } from './sight.ts';
import type { Cluster } from './watch.ts';

const KINDS = ['Deployment', 'StatefulSet', 'DaemonSet'] as const;

const Containers = z.array(z.object({ image: z.string().default('') })).default([]);
const count = z.number().default(0);

/** As much as tells how a rollout goes, of all three kinds: each has some of the numbers. */
const Workload = z.object({
  metadata: z.object({ name: z.string(), generation: count }),
  spec: z.object({
    replicas: z.number().default(1),
    template: z.object({ spec: z.object({ containers: Containers, initContainers: Containers }) }),
  }),
  status: z
    .object({
      observedGeneration: count,
      replicas: count,
      updatedReplicas: count,
      availableReplicas: count,
      desiredNumberScheduled: count,
      updatedNumberScheduled: count,
      numberAvailable: count,
      conditions: z
        .array(z.object({ type: z.string(), status: z.string(), reason: z.string().default('') }))
        .default([]),
    })
    .prefault({}),
});
type Workload = z.infer<typeof Workload>;

/** How the workloads with these labels are: good when the newest template of each is what all of its pods run. */
export async function lookAtWorkloads(
  cluster: Cluster,
  { namespace, labels }: { readonly namespace: string; readonly labels: readonly string[] },
  signal: AbortSignal,
): Promise<Pick<Sight, 'state' | 'says' | 'images'>> {
  const found = [];
  for (const kind of KINDS)
    for (const object of (await cluster.list(
      resourceOf('apps/v1', kind, `${kind.toLowerCase()}s`).collection(namespace),
      {
        labels,
        doing: `list the workloads of ${namespace}`,
        signal,
      },
    )) ?? [])
      found.push({ kind, workload: Workload.parse(object) });
  if (found.length === 0)
    return {
      state: 'coming',
      says: `there is no workload with the labels ${labels.join()} in ${namespace}`,
      images: [],
    };
  const told = found.map(({ kind, workload }) => ({ ...rolloutOf(kind, workload), name: workload.metadata.name }));
  const worst = told.find(({ state }) => state === 'bad') ?? told.find(({ state }) => state === 'coming');
  return {
    state: worst?.state ?? 'good',
    says: worst === undefined ? `${found.length} rolled out` : `${worst.name} ${worst.says}`,
    images: found.flatMap(({ workload }) => imagesOf(workload)),
  };
}

function rolloutOf(kind: (typeof KINDS)[number], { metadata, spec, status }: Workload): Pick<Sight, 'state' | 'says'> {
  const stuck = status.conditions.find(({ reason }) => reason === 'ProgressDeadlineExceeded');
  if (status.observedGeneration < metadata.generation) return { state: 'coming', says: 'is not begun' };
  if (stuck !== undefined) return { state: 'bad', says: 'made no progress within its deadline' };
  const numbers =
    kind === 'DaemonSet'
      ? {
          wanted: status.desiredNumberScheduled,
          updated: status.updatedNumberScheduled,
          available: status.numberAvailable,
          all: 0,
        }
      : {
          wanted: spec.replicas,
          updated: status.updatedReplicas,
          available: status.availableReplicas,
          all: status.replicas,
        };
  const { wanted, updated, available, all } = numbers;
  if (updated < wanted) return { state: 'coming', says: `has ${updated} of ${wanted} new pods` };
  if (all > updated) return { state: 'coming', says: `has ${all - updated} old pods` };
  if (available < wanted) return { state: 'coming', says: `has ${available} of ${wanted} pods available` };
  return { state: 'good', says: 'is rolled out' };
}

function imagesOf({ spec: { template } }: Workload): string[] {
  return [...template.spec.initContainers, ...template.spec.containers].map(({ image }) => image);
}
