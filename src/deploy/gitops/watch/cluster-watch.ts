import { lookAtWorkloads } from './workloads.ts';
import type { Cluster, Watch } from './watch.ts';

/** Of a cluster whose deployer tells nothing: its workloads are looked at, and nobody is asked for anything. */
export function clusterWatch(
  { namespace, labels }: { readonly namespace: string; readonly labels: readonly string[] },
  cluster: Cluster,
): Watch {
  const look = async (signal: AbortSignal) => ({
    looked: true,
    revisions: null,
    ...(await lookAtWorkloads(cluster, { namespace, labels }, signal)),
  });
  return {
    name: `the cluster, ${labels.join()} in ${namespace}`,
    check: async (signal) => void (await look(signal)),
    ask: () => Promise.resolve(),
    look,
  };
}
