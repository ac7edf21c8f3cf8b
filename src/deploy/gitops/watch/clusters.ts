import { type ClusterAccess, machineAccess } from '../../../container/kubernetes/access.ts';
import { GIVEN, givenKubeconfig, kubeconfigOf } from '../../../container/kubernetes/kubeconfig.ts';
import { connectKubernetes, type Kubernetes, type KubernetesParts } from '../../../container/kubernetes/kubernetes.ts';
import type { ClusterOf } from './watch-of.ts';

export interface Clusters {
  readonly of: ClusterOf;
  close(): Promise<void>;
}

export interface ClustersParts extends KubernetesParts {
  readonly secretOf: (reference: string) => Promise<string>;
}

/** Those that this process asks: each is kept as long as it is reached in the same way. */
export function createClusters(parts: ClustersParts): Clusters {
  const open = new Map<string, Kubernetes>();
  return {
    of: async ({ kubeconfig, context }) => {
      const access = await accessOf(parts, kubeconfig, context);
      const key = JSON.stringify(access);
      const cluster = open.get(key) ?? connectKubernetes(access, parts);
      open.set(key, cluster);
      return cluster;
    },
    close: async () => {
      for (const cluster of open.values()) await cluster.close();
      open.clear();
    },
  };
}

async function accessOf(
  { secretOf, environment }: ClustersParts,
  kubeconfig: string | undefined,
  context: string | undefined,
): Promise<ClusterAccess> {
  if (kubeconfig === undefined) return machineAccess({ environment, context });
  return kubeconfigOf([givenKubeconfig(await secretOf(kubeconfig))], context, GIVEN);
}
