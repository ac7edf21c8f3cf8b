import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

import { hasCode } from '../../lib/error.ts';
import { kubeconfigOf, readKubeconfig } from './kubeconfig.ts';
import { badConfig, noConfig } from './kubernetes-error.ts';

/** How one cluster is reached, and as whom. */
export interface ClusterAccess {
  /** `https://host:port`, perhaps with a path; without a slash at its end. */
  readonly server: string;
  /** Where one is named: what is meant when nothing else says which. */
  readonly namespace: string | null;
  readonly tls: {
    /** PEM. Where it is given, no other authority is believed. */
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
  };
  readonly proxy?: string;
  readonly credential: Credential;
}

export type Credential =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  /** Read anew at each use: in a cluster it is changed every hour. */
  | { readonly kind: 'token-file'; readonly path: string }
  /** A program that prints an ExecCredential, as those of EKS, GKE and AKS do. */
  | { readonly kind: 'program'; readonly program: ExecProgram };

export interface ExecProgram {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What it is told of the cluster, where it asks for that. */
  readonly cluster: Readonly<Record<string, string>> | null;
}

export interface AccessOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Of the kubeconfig; its current one where none is named. */
  readonly context?: string | undefined;
  /** Where a pod finds who it is. */
  readonly account?: string;
}

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * How the machine of the server reaches a cluster: the kubeconfig that `TOWPATH_KUBECONFIG` or `KUBECONFIG` names, else the pod's own
 * account, else the kubeconfig of the user.
 * @throws KubernetesError `kubernetes.no-config`, `kubernetes.config`
 */
export async function machineAccess(options: AccessOptions): Promise<ClusterAccess> {
  const { environment, context, account = ACCOUNT } = options;
  const named = environment['TOWPATH_KUBECONFIG'] || environment['KUBECONFIG'];
  if (named) return kubeconfigOf(await readAll(named.split(delimiter)), context, named);
  if (context === undefined) {
    const own = await podAccess(environment, account);
    if (own !== null) return own;
  }
  const path = join(environment['HOME'] ?? homedir(), '.kube', 'config');
  try {
    return await kubeconfigOf(await readAll([path]), context, path);
  } catch (error) {
    if (hasCode(error, 'kubernetes.no-file')) throw noConfig();
    throw error;
  }
}

async function readAll(paths: readonly string[]) {
  return Promise.all(paths.filter((path) => path !== '').map((path) => readKubeconfig(path)));
}

async function podAccess(environment: AccessOptions['environment'], account: string): Promise<ClusterAccess | null> {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' } = environment;
  if (host === '') return null;
  try {
    const [ca, namespace] = await Promise.all(
      ['ca.crt', 'namespace'].map((name) => readFile(join(account, name), 'utf8')),
    );
    return {
      server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
      namespace: namespace?.trim() || null,
      tls: { ca: ca ?? '' },
      credential: { kind: 'token-file', path: join(account, 'token') },
    };
  } catch {
    throw badConfig(account, 'a pod without a service account has no credential');
  }
}
