import type { KubernetesObject } from '../../container/kubernetes/kubernetes.ts';
import { sha256Hex } from '../../lib/digest.ts';
import { slugOf } from '../../lib/slug.ts';
import type { Target } from '../driver.ts';
import { targetKey } from '../rollout.ts';

/** By what objects of a place are found again. Values of labels are short and plain, so names are hashed. */
export const LABEL = {
  installation: 'towpath.dev/installation',
  target: 'towpath.dev/target',
  /** On pods: a hash of it. */
  operation: 'towpath.dev/operation',
} as const;

/** What objects say besides, for people and for us. Never a secret. */
export const NOTE = {
  project: 'towpath.dev/project',
  environment: 'towpath.dev/environment',
  operation: 'towpath.dev/operation',
  /** On pods: container -> service, as JSON. */
  services: 'towpath.dev/services',
  token: 'towpath.dev/token',
  /** On a Job of a manifest: `before`. */
  when: 'towpath.dev/when',
} as const;

/** As which server-side apply knows us. */
export const MANAGER = 'towpath';

/** One target of one installation, and its namespace. */
export interface Place {
  readonly target: Target;
  readonly installation: string;
  readonly namespace: string;
  /** Whether the namespace is ours, and goes with the environment. */
  readonly ownsNamespace: boolean;
}

/** Of an environment that was given none. */
export function namespaceOf(target: Target, installation: string): string {
  return slugOf(`${target.project}-${target.environment}-${JSON.stringify([targetKey(target), installation])}`, 50);
}

/** What everything of a place carries. */
export function placeLabels({ target, installation }: Pick<Place, 'target' | 'installation'>): Record<string, string> {
  return { [LABEL.installation]: installation, [LABEL.target]: targetKey(target) };
}

export function placeNotes({ target }: Pick<Place, 'target'>): Record<string, string> {
  return { [NOTE.project]: target.project, [NOTE.environment]: target.environment };
}

/** Whether an object is of this place, by what it says of itself. */
export function isOurs(
  { metadata: { labels = {} } }: KubernetesObject,
  place: Pick<Place, 'target' | 'installation'>,
): boolean {
  return Object.entries(placeLabels(place)).every(([name, value]) => labels[name] === value);
}

export function placeFilter(place: Place): string[] {
  return Object.entries(placeLabels(place)).map(([name, value]) => `${name}=${value}`);
}

/** How others in the namespace find a service: by its own name, where that can be one. */
export function objectName(service: string): string {
  return /^[a-z]([a-z0-9-]{0,48}[a-z0-9])?$/.test(service) ? service : slugOf(service, 50);
}

export function shortOf(operation: string): string {
  return sha256Hex(operation).slice(0, 16);
}

/** A new content is a new name. The hash is over the place too: it does not tell that two places have the same secret. */
export function secretName(place: Place, service: string, values: ReadonlyMap<string, string>): string {
  const content = sha256Hex(JSON.stringify([placeLabels(place), service, [...values]])).slice(0, 12);
  return `${objectName(service)}-${content}`;
}

export const RECORD = 'towpath-environment';
