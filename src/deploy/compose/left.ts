import { type ContainerState, listContainers } from '../../container/docker/containers.ts';
import type { Observed } from '../driver.ts';
import type { Left } from '../ledger-store.ts';
import type { Beside } from './beside.ts';
import { filterOf, LABEL, type Place, projectOf } from './place.ts';
import { replicasOf } from './render.ts';
import { jobsIn, mayEnd, runningState } from './state.ts';

/** What Docker Compose writes on containers: by its print of the settings it knows itself what to make anew. */
const COMPOSE = {
  project: 'com.docker.compose.project',
  service: 'com.docker.compose.service',
  print: 'com.docker.compose.config-hash',
  /** Of one that somebody runs besides, and then leaves. */
  oneOff: 'com.docker.compose.oneoff',
} as const;

/**
 * What is there beside the release, once all of it is well: so it is known again.
 * @param images service -> the engine's id of its image
 */
export async function leftBy({ place, services, stack }: Beside, images: ReadonlyMap<string, string>): Promise<Left> {
  const jobs = jobsIn(stack);
  const containers = await containersOf(place);
  const left = [...services].map(([name, file]) => {
    const first = containers.find(({ labels }) => labels[COMPOSE.service] === name);
    const print = { settings: first?.labels[COMPOSE.print] ?? '', image: images.get(name) ?? '' };
    return [name, { ...print, replicas: replicasOf(file), mayEnd: mayEnd(file, jobs.has(name)) }] as const;
  });
  return Object.fromEntries(left);
}

/**
 * What became of it, whoever did it. What somebody runs in the project that never was of the environment is not ours, so it is left
 * alone.
 */
export async function amissBeside(place: Place, left: Left): Promise<NonNullable<Observed['beside']>> {
  const containers = await containersOf(place);
  const ours = Object.entries(filterOf(place));
  const over = containers.filter(({ running, labels }) => {
    return running && !Object.hasOwn(left, labels[LABEL.name] ?? '') && ours.every(([key, its]) => labels[key] === its);
  });
  return Object.fromEntries([
    ...over.map(({ labels }) => [labels[LABEL.name] ?? '', 'it runs though the compose file has it no more'] as const),
    ...Object.entries(left).map(([name, one]) => {
      const found = containers.filter(({ labels }) => labels[COMPOSE.service] === name);
      return [name, amissWith(one, found)] as const;
    }),
  ]);
}

function amissWith(
  { settings, image, replicas, mayEnd: endsWell }: Left[string],
  found: ContainerState[],
): string | null {
  if (found.some(({ labels }) => labels[COMPOSE.print] !== settings)) return 'it was made anew with other settings';
  if (found.some(({ imageId }) => imageId !== image)) return 'it was made anew with another image';
  if (found.length !== replicas) return found.length === 0 ? 'it is gone' : `there are ${found.length} of ${replicas}`;
  for (const one of found) {
    if (!one.running && !(endsWell && one.exitCode === 0 && one.startedAtMs > 0)) return 'it does not run';
    const state = one.running ? runningState(one) : 'well';
    if (state !== 'well') return state === 'starting' ? 'it is not healthy yet' : state;
  }
  return null;
}

async function containersOf(place: Place): Promise<ContainerState[]> {
  return listContainers(place.engine, { [COMPOSE.project]: projectOf(place), [COMPOSE.oneOff]: 'False' });
}
