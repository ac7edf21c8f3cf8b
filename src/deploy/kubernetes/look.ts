import { z } from 'zod';

import type { Kubernetes, KubernetesObject } from '../../container/kubernetes/kubernetes.ts';
import { type Digest, isDigest, sha256 } from '../../lib/digest.ts';
import { NOTE, type Place, placeFilter } from './names.ts';

const Ended = z.looseObject({
  exitCode: z.number().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
});
const State = z.looseObject({
  waiting: z.looseObject({ reason: z.string().optional(), message: z.string().optional() }).optional(),
  running: z.looseObject({}).optional(),
  terminated: Ended.optional(),
});
const ContainerStatus = z.looseObject({
  name: z.string(),
  ready: z.boolean().optional(),
  imageID: z.string().optional(),
  restartCount: z.number().optional(),
  state: State.optional(),
  lastState: State.optional(),
});
const Condition = z.looseObject({
  type: z.string(),
  status: z.string(),
  reason: z.string().optional(),
  message: z.string().optional(),
});
const PodStatus = z.looseObject({
  phase: z.string().optional(),
  conditions: z.array(Condition).optional(),
  containerStatuses: z.array(ContainerStatus).optional(),
  initContainerStatuses: z.array(ContainerStatus).optional(),
});
const Spec = z.looseObject({
  containers: z.array(z.looseObject({ name: z.string(), image: z.string().optional() })).optional(),
});
const Owners = z.array(z.looseObject({ kind: z.string(), name: z.string() })).optional();
const Services = z.record(z.string(), z.string());

export type ContainerStatus = z.infer<typeof ContainerStatus>;
export type Condition = z.infer<typeof Condition>;

/** A pod that lives, or has not yet gone. */
export interface Pod {
  readonly name: string;
  readonly uid: string;
  readonly operation: string;
  /** Container -> service of the release. */
  readonly services: Readonly<Record<string, string>>;
  readonly phase: string;
  readonly conditions: readonly Condition[];
  readonly containers: readonly ContainerStatus[];
  /** Container -> the digest that it is to run, where it names one. */
  readonly asked: Readonly<Record<string, Digest>>;
  readonly isReady: boolean;
  readonly isLeaving: boolean;
  readonly labels: Readonly<Record<string, string>>;
}

/** What of a place runs, or is to, without the pods of Jobs and those that came to their end. */
export async function look(kubernetes: Kubernetes, place: Place): Promise<Pod[]> {
  const all = await kubernetes.list(`/api/v1/namespaces/${place.namespace}/pods`, { labels: placeFilter(place) });
  return (all ?? [])
    .filter((pod) => !ownersOf(pod).includes('Job'))
    .map(podOf)
    .filter(({ phase }) => phase !== 'Succeeded' && phase !== 'Failed');
}

export function podOf(pod: KubernetesObject): Pod {
  const { name, uid, labels = {}, annotations = {}, deletionTimestamp } = pod.metadata;
  const status = PodStatus.parse(pod['status'] ?? {});
  const conditions = status.conditions ?? [];
  return {
    name,
    uid,
    labels,
    operation: annotations[NOTE.operation] ?? '',
    services: servicesIn(annotations[NOTE.services]),
    phase: status.phase ?? 'Pending',
    conditions,
    containers: [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])],
    asked: askedIn(pod),
    isReady: conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    isLeaving: deletionTimestamp !== undefined,
  };
}

/** By which containers a pod runs a service. */
export function runs({ services }: Pick<Pod, 'services'>, service: string): string[] {
  return Object.keys(services).filter((container) => services[container] === service);
}

/**
 * The digest that a container runs, as its node says. Null before it runs; an image that a node knows by no digest of a registry has
 * one that nothing asks for.
 */
export function digestOf({ imageID = '', state }: ContainerStatus): Digest | null {
  if (imageID === '' || state?.running === undefined) return null;
  const digest = imageID.includes('@') ? imageID.slice(imageID.lastIndexOf('@') + 1) : '';
  return isDigest(digest) ? digest : sha256(Buffer.from(imageID));
}

function askedIn(pod: KubernetesObject): Record<string, Digest> {
  const containers = Spec.parse(pod['spec'] ?? {}).containers ?? [];
  const named = containers.map(({ name, image = '' }) => [name, image.slice(image.indexOf('@') + 1)] as const);
  return Object.fromEntries(named.flatMap(([name, digest]) => (isDigest(digest) ? [[name, digest] as const] : [])));
}

function ownersOf({ metadata }: KubernetesObject): string[] {
  return (Owners.parse(metadata['ownerReferences']) ?? []).map(({ kind }) => kind);
}

/** @param text the note of a pod */
export function servicesIn(text: string | undefined): Record<string, string> {
  if (text === undefined) return {};
  try {
    return Services.parse(JSON.parse(text));
  } catch {
    return {}; // somebody's own note
  }
}
