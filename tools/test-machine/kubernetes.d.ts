/** @param directory a folder of its own */
export function startKubernetes(directory: string): Promise<{
  /** The path of a kubeconfig of somebody who may do everything. */
  readonly address: string;
  stop(): Promise<void>;
}>;

/** What this machine lacks for a cluster, or null. */
export function kubernetesMissing(): string | null;
