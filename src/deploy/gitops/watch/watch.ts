import { resourceOf } from '../../../container/kubernetes/resources.ts';
import type { Kubernetes, KubernetesObject } from '../../../container/kubernetes/kubernetes.ts';
import { GitopsError } from '../gitops-error.ts';
import type { Sight } from './sight.ts';

/** A program that deploys what is written, and tells how that went. */
export interface Watch {
  /** Who tells, and of what: `Argo CD, application argocd/shop-prod`. */
  readonly name: string;
  /**
   * Whether it is there, and we may read and ask: known before anything is written.
   * @throws GitopsError `gitops.watch-*`; KubernetesError
   */
  check(signal: AbortSignal): Promise<void>;
  /** Asks it to look at the repository now. */
  ask(signal: AbortSignal): Promise<void>;
  look(signal: AbortSignal): Promise<Sight>;
}

export type Cluster = Pick<Kubernetes, 'get' | 'list' | 'merge'>;

/** An object through which a program is asked and tells. */
export interface Teller {
  read(signal: AbortSignal): Promise<KubernetesObject>;
  /** Without annotations nothing is changed: it tells only whether we may. */
  annotate(annotations: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void>;
}

interface Where {
  readonly api: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespace: string;
  readonly name: string;
}

/** Its methods throw GitopsError `gitops.watch-missing` and KubernetesError. */
export function teller(cluster: Cluster, { api, kind, plural, namespace, name }: Where): Teller {
  const path = resourceOf(api, kind, plural).path(namespace, name);
  const called = `the ${kind} ${namespace}/${name}`;
  const found = (object: KubernetesObject | null): KubernetesObject => {
    if (object !== null) return object;
    throw new GitopsError({
      code: 'gitops.watch-missing',
      what: `The cluster has no ${kind} ${namespace}/${name}, which was to tell how it goes.`,
      fix: 'Correct `success` of the environment in towpath.yaml, or make it in the cluster.',
    });
  };
  return {
    read: async (signal) => found(await cluster.get(path, { doing: `read ${called}`, signal })),
    annotate: async (annotations, signal) => {
      const patch = Object.keys(annotations).length === 0 ? {} : { metadata: { annotations } };
      found(await cluster.merge(path, patch, { doing: `ask through ${called}`, signal }));
    },
  };
}
