import type { Success } from '../success.ts';
import { argocdWatch } from './argocd.ts';
import { clusterWatch } from './cluster-watch.ts';
import { fluxWatch } from './flux.ts';
import type { Cluster, Watch } from './watch.ts';

/** A cluster by a reference to its kubeconfig; without one, what the machine of the server knows. */
export type ClusterOf = (access: {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
}) => Promise<Cluster>;

/** Who tells how it went; null where nobody is asked. */
export async function watchOf(success: Success, clusterOf: ClusterOf): Promise<Watch | null> {
  if (success === 'commit') return null;
  const [settings] = Object.values(success);
  const cluster = await clusterOf(settings);
  if ('argocd' in success) return argocdWatch(success.argocd, cluster);
  if ('flux' in success) return fluxWatch(success.flux, cluster);
  return clusterWatch({ ...success.cluster, labels: success.cluster.labels.split(',') }, cluster);
}

/** In words, before anything is known of it. */
export function watcherName(success: Exclude<Success, 'commit'>): string {
  return 'argocd' in success ? 'Argo CD' : 'flux' in success ? 'Flux' : 'the cluster';
}
