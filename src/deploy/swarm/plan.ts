import type { Action, Desired, DesiredService, Observed } from '../driver.ts';
import type { SwarmConfig } from './config.ts';
import { orderOf } from './spec.ts';

/** The steps of a rollout. Those without a service are of the whole environment. */
export type SwarmAction = Action &
  (
    | { readonly kind: 'check' | 'network' | 'secrets' | 'tidy' }
    | { readonly kind: 'update' | 'await-healthy' | 'remove'; readonly service: string }
  );

/**
 * All services are given to Swarm at once, which replaces their replicas by itself; then each is waited for. Another operation
 * always begins anew, also with equal images.
 */
export function planSwarm(desired: Desired<SwarmConfig>, observed: Observed): SwarmAction[] {
  const known = new Set(desired.services.map(({ service }) => service));
  const open = desired.services.filter((service) => !isDone(desired, service, observed));
  const gone = Object.keys(observed.services).filter((service) => !known.has(service));
  if (open.length === 0 && gone.length === 0) return [];
  return [
    { kind: 'check', summary: 'see that the Swarm has room for it' },
    { kind: 'network', summary: "see to the environment's private network" },
    { kind: 'secrets', summary: "see to the environment's secrets" },
    ...open.map((service) => planUpdate(desired, service)),
    ...open.map((service): SwarmAction => planAwait(service)),
    ...gone.map((service): SwarmAction => ({ kind: 'remove', service, summary: `remove ${service} from the Swarm` })),
    { kind: 'tidy', summary: 'remove secrets that nothing uses any more' },
  ];
}

function planUpdate({ config }: Desired<SwarmConfig>, service: DesiredService): SwarmAction {
  const name = `${service.service}@${service.digest.slice(0, 'sha256:'.length + 12)}`;
  const count = service.replicas === 1 ? '' : `${service.replicas} of `;
  return {
    kind: 'update',
    service: service.service,
    summary:
      config.stack === undefined
        ? `run in the Swarm ${count}${name}, ${orderOf(config, service)}`
        : `run in the Swarm ${name}, as ${config.stack.join(', ')} has it`,
  };
}

function planAwait({ service, health, port }: DesiredService): SwarmAction {
  const proof = health === undefined ? (port === undefined ? 'stays up' : 'listens') : `answers ${health.path}`;
  return { kind: 'await-healthy', service, summary: `wait until Swarm is done with ${service}, and it ${proof}` };
}

function isDone({ operation, config }: Desired<SwarmConfig>, service: DesiredService, observed: Observed): boolean {
  const seen = observed.services[service.service];
  if (seen === undefined || seen.replicas.length === 0) return false;
  if (config.stack === undefined && seen.replicas.length !== service.replicas) return false; // else the file has their number
  if (config.publish === 'proxy' && portOf(seen.url) !== service.publicPort) return false;
  return seen.replicas.every(
    (replica) =>
      replica.operation === operation &&
      replica.digest === service.digest &&
      replica.health === 'healthy' &&
      replica.serving,
  );
}

function portOf(url: string | undefined): number | undefined {
  return url === undefined ? undefined : Number(new URL(url).port);
}
