import type { DockerEngine } from '../../container/docker/engine.ts';
import { sha256Hex } from '../../lib/digest.ts';
import { placeName } from '../docker/runtime.ts';
import type { Target } from '../driver.ts';
import { targetKey } from '../rollout.ts';

/**
 * What stands in an environment besides the containers of the release: it is found again by these labels. Containers of the release
 * carry those of the docker driver.
 */
export const LABEL = {
  installation: 'dev.towpath.installation',
  project: 'dev.towpath.project',
  environment: 'dev.towpath.environment',
  /** Of which target. */
  beside: 'dev.towpath.beside',
  /** What the compose file calls it. */
  name: 'dev.towpath.compose-name',
  /** Of a network in which the containers of one operation find each other. */
  operation: 'dev.towpath.names-of',
  /** The digest of the files that were put into it. */
  files: 'dev.towpath.files',
  /** Of a volume: whether it goes with the environment. */
  end: 'dev.towpath.at-end',
} as const;

/** Where Towpath and Docker Compose meet: one compose project of an engine. */
export interface Place {
  readonly engine: DockerEngine;
  readonly target: Target;
  readonly installation: string;
}

/** The name of the compose project, which is also that of its default network. */
export function projectOf({ target, installation }: Pick<Place, 'target' | 'installation'>): string {
  return placeName(target, installation);
}

export function networkName(place: Place, key: string): string {
  return key === 'default' ? projectOf(place) : `${projectOf(place)}_${key}`;
}

/** Containers of one operation find each other there, and nobody else finds them. */
export function namesNetwork(place: Place, key: string, operation: string): string {
  return `${projectOf(place)}_${key}_${shortOf(operation)}`;
}

export function volumeName(place: Place, key: string): string {
  return `${projectOf(place)}_${key}`;
}

export function shortOf(operation: string): string {
  return sha256Hex(operation).slice(0, 10);
}

export function labelsOf({ target, installation }: Place, name: string): Record<string, string> {
  return {
    ...filterOf({ target, installation }),
    [LABEL.project]: target.project,
    [LABEL.environment]: target.environment,
    [LABEL.name]: name,
  };
}

export function filterOf({ target, installation }: Pick<Place, 'target' | 'installation'>): Record<string, string> {
  return { [LABEL.installation]: installation, [LABEL.beside]: targetKey(target) };
}
