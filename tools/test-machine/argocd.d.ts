/** What this machine lacks for Argo CD, besides a cluster, in words; or null. */
export function argocdMissing(): string | null;
/**
 * The parts of Argo CD that deploy, in the namespace `argocd` of a cluster.
 * @param directory a folder of its own @param kubeconfig its path, with all rights
 */
export function startArgocd(
  directory: string,
  kubeconfig: string,
): Promise<{
  /** The path of the kubeconfig. */
  readonly address: string;
  stop(): Promise<void>;
}>;
