import { inspectContainer } from '../../container/docker/containers.ts';
import type { DockerEngine } from '../../container/docker/engine.ts';
import { inspectImage } from '../../container/docker/images.ts';
import { type Digest, isDigest, sha256 } from '../../lib/digest.ts';
import type { Observed, Replica } from '../driver.ts';
import type { Cutover } from '../local-observer.ts';
import { targetKey } from '../rollout.ts';
import { membership, type SwarmTask } from './api.ts';
import { addressOf, isAlive, isServing, look, type Look, nodeAddress, operationOf, type SeenService } from './look.ts';
import type { Place } from './names.ts';
import { isMoving, isStuck } from './verdict.ts';

export interface ObserverParts {
  readonly engine: DockerEngine;
  readonly cutover: Cutover;
}

/**
 * What runs for a place, as Swarm and the proxy show it. While Swarm still moves a service, or has given up on it, none of its replicas
 * counts as healthy: it might be put back in the next moment.
 */
export async function observeSwarm({ engine, cutover }: ObserverParts, place: Place): Promise<Observed> {
  const [now, routes, { nodeId }] = await Promise.all([
    look(engine, place),
    cutover.routes(targetKey(place.target)),
    membership(engine),
  ]);
  const services = now.services.map(async (seen) => {
    const route = routes.find(({ service }) => service === seen.name);
    const living = seen.tasks.filter((task) => isAlive(task, now));
    const replicas = living.map(async (task): Promise<Replica> => {
      const address = addressOf(task, now);
      const isRouted =
        route?.upstreams.some(({ host, port }) => host === address?.host && port === address.port) ?? false;
      return {
        id: task.ID,
        digest: await digestOf(engine, task, nodeId),
        operation: operationOf(task),
        health: healthOf(seen, task, now),
        serving: isServing(task, now) && (seen.publish !== 'proxy' || isRouted),
      };
    });
    const url = route === undefined ? urlOf(seen, now) : `http://127.0.0.1:${route.port}`;
    const sorted = (await Promise.all(replicas)).toSorted((one, other) => (one.id < other.id ? -1 : 1));
    return [seen.name, { replicas: sorted, ...(url === null ? {} : { url }) }] as const;
  });
  return { services: Object.fromEntries(await Promise.all(services)) };
}

function healthOf(seen: SeenService, task: SwarmTask, now: Look): Replica['health'] {
  if (isStuck(seen)) return 'unhealthy';
  return isServing(task, now) && !isMoving(seen) ? 'healthy' : 'starting';
}

/** Where a service is reached that Swarm publishes itself: at a node, one that runs it where that matters. */
function urlOf({ publish, publicPort, tasks }: SeenService, now: Look): string | null {
  if (publicPort === null || publish === 'proxy') return null;
  const running = new Set(tasks.filter((task) => isServing(task, now)).map(({ NodeID }) => NodeID));
  const node = now.nodes.find(({ ID, Status }) => (publish === 'host' ? running.has(ID) : Status.State === 'ready'));
  const host = node === undefined ? null : nodeAddress(node);
  return host === null ? null : `http://${host.includes(':') ? `[${host}]` : host}:${publicPort}`;
}

/**
 * The digest that a task runs. Its node fetched the image by that digest, and checked it; where the container is on this very
 * engine, it is asked what it really runs.
 */
async function digestOf(engine: DockerEngine, task: SwarmTask, nodeId: string): Promise<Digest> {
  const { Image } = task.Spec.ContainerSpec;
  const asked = Image.slice(Image.indexOf('@') + 1);
  const id = task.Status.ContainerStatus?.ContainerID ?? '';
  const container = task.NodeID === nodeId && id !== '' ? await inspectContainer(engine, id) : null;
  const image = container === null ? null : await inspectImage(engine, container.imageId);
  const found = image === null || image.digests.some((digest) => digest === asked) ? asked : image.digests[0];
  return isDigest(found) ? found : sha256(Buffer.from(Image)); // somebody's tag: a digest that nothing asks for
}
