import { type ClusterAccess, machineAccess } from '../../container/kubernetes/access.ts';
import { GIVEN, givenKubeconfig, kubeconfigOf } from '../../container/kubernetes/kubeconfig.ts';
import { connectKubernetes } from '../../container/kubernetes/kubernetes.ts';
import { resourcesOf } from '../../container/kubernetes/resources.ts';
import type { Clock } from '../../lib/clock.ts';
import { sha256Hex } from '../../lib/digest.ts';
import type { Secrets } from '../../secret/secret.ts';
import type { Cluster } from './objects.ts';

export interface ClusterWish {
  readonly context: string | null;
  /** A reference to a secret; null for the kubeconfig of the machine. */
  readonly kubeconfig: string | null;
}

export interface ClustersParts {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly secrets: Secrets;
  readonly clock: Clock;
}

/** Reaches clusters, and keeps the connections: how one is reached is read anew each time, so a renewed kubeconfig counts at once. */
export function createClusters(parts: ClustersParts): (wish: ClusterWish) => Promise<Cluster> {
  const known = new Map<string, { readonly of: string; readonly cluster: Cluster }>();
  return async (wish) => {
    const access = await accessOf(parts, wish);
    const key = JSON.stringify(wish);
    const of = sha256Hex(JSON.stringify(access));
    const last = known.get(key);
    if (last?.of === of) return last.cluster;
    const kubernetes = connectKubernetes(access, parts);
    const cluster = { kubernetes, resources: resourcesOf(kubernetes) };
    known.set(key, { of, cluster });
    void last?.cluster.kubernetes.close();
    return cluster;
  };
}

async function accessOf(
  { environment, secrets }: ClustersParts,
  { context, kubeconfig }: ClusterWish,
): Promise<ClusterAccess> {
  if (kubeconfig === null) return machineAccess({ environment, context: context ?? undefined });
  return kubeconfigOf([givenKubeconfig(await secrets.resolve(kubeconfig))], context ?? undefined, GIVEN);
}
