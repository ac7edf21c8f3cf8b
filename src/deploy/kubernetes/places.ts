import type { ClusterWish } from '../../container/kubernetes/clusters.ts';
import type { Kubernetes } from '../../container/kubernetes/kubernetes.ts';
import { resourcesOf } from '../../container/kubernetes/resources.ts';
import type { Store } from '../../store/database.ts';
import type { Desired, Target } from '../driver.ts';
import { targetKey } from '../rollout.ts';
import type { KubernetesConfig } from './config.ts';
import { otherPlace } from './deployment-error.ts';
import { namespaceOf, type Place } from './names.ts';
import type { Cluster } from './objects.ts';
import { forgetPlace, knownPlace, type KnownPlace, rememberPlace } from './place-store.ts';
import { readRecord } from './record.ts';

/** A place, and the cluster that it is in. */
export interface Spot {
  readonly cluster: Cluster;
  readonly place: Place;
}

export interface PlacesParts {
  readonly store: Store;
  readonly installation: string;
  readonly connect: (wish: ClusterWish) => Promise<Kubernetes>;
}

export type Places = ReturnType<typeof createPlaces>;

/** Where targets run: it is remembered before anything is done there, for looking at it and ending it come without its settings. */
export function createPlaces({ store, installation, connect }: PlacesParts) {
  /** Which kinds a cluster has is asked once for each connection. */
  const clusters = new WeakMap<Kubernetes, Cluster>();
  const clusterOf = async (wish: ClusterWish): Promise<Cluster> => {
    const kubernetes = await connect(wish);
    const cluster = clusters.get(kubernetes) ?? { kubernetes, resources: resourcesOf(kubernetes) };
    clusters.set(kubernetes, cluster);
    return cluster;
  };
  const spotOf = async (target: Target, known: KnownPlace): Promise<Spot> => {
    const { namespace, ownsNamespace } = known;
    return { cluster: await clusterOf(known), place: { target, installation, namespace, ownsNamespace } };
  };
  return {
    /** @returns null when nothing was ever deployed there, or it was taken down */
    known: async (target: Target): Promise<Spot | null> => {
      const known = await knownPlace(store.db, targetKey(target));
      return known === null ? null : spotOf(target, known);
    },
    /** Where it is to run. @throws DeployError `kubernetes.other-place` while it runs elsewhere */
    settle: async ({ target, config }: Desired<KubernetesConfig>): Promise<Spot> => {
      const wish: KnownPlace = {
        context: config.context ?? null,
        kubeconfig: config.kubeconfig ?? null,
        namespace: config.namespace ?? namespaceOf(target, installation),
        ownsNamespace: config.namespace === undefined,
      };
      const last = await knownPlace(store.db, targetKey(target));
      if (last !== null && JSON.stringify(last) !== JSON.stringify(wish)) {
        const { cluster, place } = await spotOf(target, last);
        if ((await readRecord(cluster.kubernetes, place)) !== null) throw otherPlace(`the namespace ${last.namespace}`);
      }
      await rememberPlace(store.db, targetKey(target), wish);
      return spotOf(target, wish);
    },
    forget: (target: Target): Promise<void> => forgetPlace(store.db, targetKey(target)),
  };
}
