import { listContainers, removeContainer, stopContainer } from '../../container/docker/containers.ts';
import { emptyNetwork, listNetworks } from '../../container/docker/networks.ts';
import { listVolumes, removeVolume } from '../../container/docker/volumes.ts';
import { filterOf, LABEL, networkName, type Place, shortOf } from './place.ts';
import type { Stack, StackService } from './stack.ts';

const GRACE_MS = 10_000;

/** Removes what ran beside earlier releases and does not any more, and the networks that nothing uses. Volumes stay. */
export async function tidy(
  place: Place,
  stack: Stack,
  services: ReadonlyMap<string, StackService>,
  operation: string,
): Promise<void> {
  const containers = await listContainers(place.engine, filterOf(place));
  await end(
    place,
    containers.filter(({ labels }) => !services.has(labels[LABEL.name] ?? '')).map(({ id }) => id),
  );
  const kept = new Set(['default', ...stack.networks.keys()].map((key) => networkName(place, key)));
  for (const { name, labels } of await listNetworks(place.engine, filterOf(place))) {
    const of = labels[LABEL.operation];
    if (of === undefined ? !kept.has(name) : of !== shortOf(operation)) await emptyNetwork(place.engine, name);
  }
}

/** All of it, once the release itself is gone; volumes stay, for another driver may have taken the environment over. */
export async function removeBeside(place: Place): Promise<void> {
  const { engine } = place;
  const containers = await listContainers(engine, filterOf(place));
  await end(
    place,
    containers.map(({ id }) => id),
  );
  for (const { name } of await listNetworks(engine, filterOf(place))) {
    // the environment's own may be another driver's by now; whoever clears the environment removes it
    if (name !== networkName(place, 'default')) await emptyNetwork(engine, name);
  }
}

/** Removes the volumes that were made to go with their environment. @returns those that stay, with what lies in them */
export async function endVolumes(place: Place): Promise<string[]> {
  const stay: string[] = [];
  for (const { name, labels } of await listVolumes(place.engine, filterOf(place))) {
    if (labels[LABEL.end] === 'remove') await removeVolume(place.engine, name);
    else stay.push(name);
  }
  return stay;
}

async function end({ engine }: Place, ids: readonly string[]): Promise<void> {
  await Promise.all(
    ids.map(async (id) => {
      await stopContainer(engine, id, GRACE_MS);
      await removeContainer(engine, id);
    }),
  );
}
