import { sha256Hex } from '../../lib/digest.ts';
import { type ClusterAccess, machineAccess } from './access.ts';
import { GIVEN, givenKubeconfig, kubeconfigOf } from './kubeconfig.ts';
import { connectKubernetes, type Kubernetes, type KubernetesParts } from './kubernetes.ts';

export interface ClusterWish {
  readonly context?: string | null | undefined;
  /** A reference to a secret; without it the kubeconfig of the machine. */
  readonly kubeconfig?: string | null | undefined;
}

export interface Clusters {
  /** @throws KubernetesError `kubernetes.config`, `kubernetes.no-config`; SecretError */
  readonly of: (wish: ClusterWish) => Promise<Kubernetes>;
  close(): Promise<void>;
}

export interface ClustersParts extends KubernetesParts {
  readonly secretOf: (reference: string) => Promise<string>;
}

/**
 * Reaches clusters, and keeps one connection to each: how one is reached is read anew each time, so a renewed kubeconfig counts at
 * once. Whoever is at work with the connection of before goes on with it; unused, it ends by itself.
 */
export function createClusters(parts: ClustersParts): Clusters {
  const newest = new Map<string, { readonly of: string; readonly cluster: Kubernetes }>();
  return {
    of: async (wish) => {
      const access = await accessOf(parts, wish);
      const key = JSON.stringify([wish.kubeconfig ?? null, wish.context ?? null]);
      const of = sha256Hex(JSON.stringify(access));
      const last = newest.get(key);
      if (last?.of === of) return last.cluster;
      const cluster = connectKubernetes(access, parts);
      newest.set(key, { of, cluster });
      return cluster;
    },
    close: async () => {
      for (const { cluster } of newest.values()) await cluster.close();
      newest.clear();
    },
  };
}

async function accessOf(
  { environment, secretOf }: ClustersParts,
  { context, kubeconfig }: ClusterWish,
): Promise<ClusterAccess> {
  if (!kubeconfig) return machineAccess({ environment, context: context ?? undefined });
  return kubeconfigOf([givenKubeconfig(await secretOf(kubeconfig))], context ?? undefined, GIVEN);
}
