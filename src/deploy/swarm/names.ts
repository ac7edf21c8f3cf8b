import { sha256Hex } from '../../lib/digest.ts';
import { slugOf } from '../../lib/slug.ts';
import type { Target } from '../driver.ts';
import { targetKey } from '../rollout.ts';

/** What a service of a Swarm, its tasks, its network and its secrets say of themselves. Never a secret. */
export const LABEL = {
  installation: 'dev.towpath.installation',
  target: 'dev.towpath.target',
  project: 'dev.towpath.project',
  environment: 'dev.towpath.environment',
  service: 'dev.towpath.service',
  operation: 'dev.towpath.operation',
  token: 'dev.towpath.token',
  digest: 'dev.towpath.digest',
  publicPort: 'dev.towpath.public-port',
  publish: 'dev.towpath.publish',
  /** Of a config: what it is of. */
  of: 'dev.towpath.of',
  /** Of a program that runs to its end: whose it is. It has no `target`, and so is no replica. */
  job: 'dev.towpath.job',
} as const;

/** A place in a Swarm: one target of one installation. Names of a Swarm are for all who use it, so each holds both. */
export interface Place {
  readonly target: Target;
  readonly installation: string;
}

/** The name of everything that a place has once: its network, and the record of who may write. At most 40 characters. */
export function placeName({ target, installation }: Place): string {
  return slugOf(`${target.project}-${target.environment}-${JSON.stringify([targetKey(target), installation])}`, 40);
}

/** Valid as a name of a Swarm and as a DNS label; two services never share one. */
export function serviceName(place: Place, service: string): string {
  const of = `${place.target.project}-${place.target.environment}`;
  const { target, installation } = place;
  return `${slugOf(`${of}-${JSON.stringify([targetKey(target), installation])}`, 31)}-${slugOf(service, 31)}`;
}

/** The one that services are in that say nothing of networks has the name of the place. */
export function networkName(place: Place, key: string): string {
  return key === 'default' ? placeName(place) : slugOf(`${placeName(place)}-${key}`, 60);
}

/**
 * A new content is a new name, for a secret or config of a Swarm never changes. The hash is over the place too, so that it does
 * not tell that two places have the same secret.
 */
export function contentName(place: Place, name: string, value: string): string {
  const content = sha256Hex(JSON.stringify([placeName(place), name, value])).slice(0, 12);
  return `${slugOf(`${placeName(place)}-${name}`, 48)}-${content}`;
}

/** What everything of a place carries, and by what it is found again. */
export function placeLabels({ target, installation }: Place): Record<string, string> {
  return {
    [LABEL.installation]: installation,
    [LABEL.target]: targetKey(target),
    [LABEL.project]: target.project,
    [LABEL.environment]: target.environment,
  };
}

/** By its operation and service, so that whoever comes back finds it again. Valid as a name of a Swarm. */
export function jobName(place: Place, service: string, operation: string): string {
  return serviceName(place, `job ${service} ${operation}`);
}

/** What the jobs of a place carry. */
export function jobLabels({ target, installation }: Place): Record<string, string> {
  return { [LABEL.installation]: installation, [LABEL.job]: targetKey(target) };
}

/** The jobs of a place, as they are asked for. */
export function jobFilter(place: Place): string[] {
  return Object.entries(jobLabels(place)).map(([name, value]) => `${name}=${value}`);
}

/** Those labels by which the things of a place are asked for. */
export function placeFilter({ target, installation }: Place): string[] {
  return [`${LABEL.installation}=${installation}`, `${LABEL.target}=${targetKey(target)}`];
}
