import { sha256Hex } from '../../lib/digest.ts';
import type { KubernetesObject } from '../../container/kubernetes/kubernetes.ts';
import type { Observed, Replica } from '../driver.ts';
import { digestOf, look, type Pod, runs, servicesIn } from './look.ts';
import { keyOf, type Manifest, nameOf, ROLLED, type Ref, refOf, templateOf } from './manifest.ts';
import { NOTE, type Place } from './names.ts';
import { type Cluster, pathOf } from './objects.ts';
import { type EnvironmentRecord, readRecord } from './record.ts';

const UNWELL = new Set(['CrashLoopBackOff', 'ErrImagePull', 'ImagePullBackOff', 'RunContainerError']);

/**
 * What runs for a place, as the pods show it. What somebody changed by hand, or what was not brought to its end, is not the
 * operation as it was asked for: its replicas say so, and it is rolled out anew.
 */
export async function observeKubernetes(cluster: Cluster, place: Place): Promise<Observed> {
  const [pods, record] = await Promise.all([look(cluster.kubernetes, place), readRecord(cluster.kubernetes, place)]);
  const changed = record === null ? [] : await changedByHand(cluster, place, record);
  const services = [...new Set(pods.flatMap((pod) => Object.values(pod.services)))].sort();
  return {
    services: Object.fromEntries(
      services.map((service) => {
        const note = changed.find(({ services: own }) => own.has(service))?.what ?? null;
        const replicas = pods
          .filter((pod) => !pod.isLeaving)
          .flatMap((pod) => runs(pod, service).flatMap((container) => replicaOf(pod, container) ?? []))
          .map((replica) => ({ ...replica, operation: operationOf(replica, note, record) }))
          .toSorted((one, other) => (one.id < other.id ? -1 : 1));
        return [service, { replicas }] as const;
      }),
    ),
  };
}

/** Until an operation is written down as done, the objects of before are what a failure would put back, and what is left is not removed. */
function operationOf({ operation }: Replica, note: string | null, record: EnvironmentRecord | null): string {
  return [operation, ...(record?.begun === operation ? ['not finished'] : []), ...(note === null ? [] : [note])].join(
    ', ',
  );
}

/** A hash of the pods that an object makes, as the cluster has them: with all that it put in by itself. */
export function templateHash(object: KubernetesObject): string | null {
  const template = templateOf(object as Manifest);
  return template === null ? null : sha256Hex(JSON.stringify(template)).slice(0, 16);
}

/** Objects of the last deployment whose pods are others now. */
async function changedByHand(
  { kubernetes, resources }: Cluster,
  place: Place,
  { applied }: EnvironmentRecord,
): Promise<{ readonly what: string; readonly services: ReadonlySet<string> }[]> {
  const found = await Promise.all(
    (applied?.manifests ?? [])
      .filter(({ kind }) => ROLLED.has(kind))
      .map(async (manifest) => {
        const ref: Ref = refOf(manifest);
        const expected = applied?.templates[keyOf(ref)];
        const there = await kubernetes.get(await pathOf({ resources }, place, ref));
        // one that is gone, or that a rollout is changing, shows by its replicas
        if (there === null || expected === undefined || isOther(there, manifest)) return [];
        if (templateHash(there) === expected) return [];
        return [
          {
            what: `${nameOf(ref)} was changed by hand`,
            services: new Set(Object.values(servicesIn(noteOf(manifest)))),
          },
        ];
      }),
  );
  return found.flat();
}

function isOther(there: KubernetesObject, manifest: Manifest): boolean {
  return there.metadata.annotations?.[NOTE.operation] !== manifest.metadata.annotations?.[NOTE.operation];
}

function noteOf(manifest: Manifest): string | undefined {
  return templateOf(manifest)?.metadata?.annotations?.[NOTE.services];
}

function replicaOf(pod: Pod, name: string): Replica | null {
  const container = pod.containers.find((one) => one.name === name);
  const digest = container === undefined ? null : digestOf(container);
  if (container === undefined || digest === null) {
    const asked = pod.asked[name];
    return asked === undefined
      ? null
      : { id: idOf(pod, name), digest: asked, operation: pod.operation, health: healthOf(pod, name), serving: false };
  }
  return { id: idOf(pod, name), digest, operation: pod.operation, health: healthOf(pod, name), serving: pod.isReady };
}

function idOf({ name, services }: Pod, container: string): string {
  return Object.keys(services).length === 1 ? name : `${name}/${container}`;
}

function healthOf({ isReady, containers }: Pod, name: string): Replica['health'] {
  if (isReady) return 'healthy';
  const reason = containers.find((one) => one.name === name)?.state?.waiting?.reason ?? '';
  return UNWELL.has(reason) ? 'unhealthy' : 'starting';
}
