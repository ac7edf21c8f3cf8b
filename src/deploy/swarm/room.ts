import type { DesiredService } from '../driver.ts';
import type { SwarmNode, SwarmService } from './api.ts';
import type { SwarmConfig } from './config.ts';
import { LABEL } from './names.ts';
import { noRoom, registryOutOfReach } from './swarm-error.ts';

/** What else there is in the Swarm. */
export interface Surroundings {
  readonly nodes: readonly SwarmNode[];
  /** Services of everybody, ours too. */
  readonly services: readonly SwarmService[];
  /** The names of those that this deployment changes. */
  readonly own: ReadonlySet<string>;
}

/** A new leader calls every node `unknown` until it hears from it, some seconds later. */
const UP = new Set(['ready', 'unknown']);

/**
 * Refuses what Swarm would take and never do: its tasks would be pending for ever, without an error.
 * @throws DeployError `swarm.no-room`, `swarm.registry-out-of-reach`
 */
export function checkRoom(services: readonly DesiredService[], config: SwarmConfig, around: Surroundings): void {
  const usable = around.nodes.filter(
    ({ Spec, Status }) => UP.has(Status.State ?? '') && (Spec.Availability ?? 'active') === 'active',
  );
  for (const { service, replicas, publicPort, image } of services) {
    if (replicas > 0 && usable.length === 0) {
      throw noRoom(service, 'no node of the Swarm takes work', 'Bring a node back: `docker node ls` shows them.');
    }
    if (around.nodes.length > 1 && isThisMachine(image)) throw registryOutOfReach(image);
    if (config.publish !== 'host' || publicPort === undefined) continue;
    if (replicas > usable.length) {
      throw noRoom(
        service,
        `each of its ${replicas} replicas needs port ${publicPort} of a node of its own, and ${usable.length} take work`,
        'Ask for fewer replicas, or publish by `proxy` or `ingress`.',
      );
    }
    const holder = around.services.find((other) => !around.own.has(other.Spec.Name) && holds(other, publicPort));
    if (holder !== undefined) {
      throw noRoom(
        service,
        `port ${publicPort} of the nodes belongs to the service "${holder.Spec.Labels[LABEL.service] ?? holder.Spec.Name}"`,
        'Give one of them another port.',
      );
    }
  }
}

function holds({ Spec }: SwarmService, port: number): boolean {
  return Spec.EndpointSpec?.Ports?.some(({ PublishedPort }) => PublishedPort === port) ?? false;
}

function isThisMachine(image: string): boolean {
  return /^(127\.[\d.]+|localhost|\[::1\])(:\d+)?\//.test(image);
}
