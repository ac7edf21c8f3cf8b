import type { Action, Desired, DesiredService, Observed } from '../driver.ts';
import { hasManifests, type KubernetesConfig } from './config.ts';

/** The steps of a rollout. Those without a service are of the whole environment. */
export type KubernetesAction = Action &
  (
    | { readonly kind: 'namespace' | 'check' | 'secrets' | 'jobs' | 'apply' | 'await-rest' | 'prune' | 'tidy' }
    | { readonly kind: 'await-healthy'; readonly service: string }
  );

/** All objects are given to the cluster, which replaces replicas by itself; then each service is waited for. */
export function planKubernetes(desired: Desired<KubernetesConfig>, observed: Observed): KubernetesAction[] {
  const { services, config } = desired;
  const known = new Set(services.map(({ service }) => service));
  const isOpen = services.some((service) => !isDone(desired, service, observed));
  const gone = Object.keys(observed.services).filter((service) => !known.has(service));
  if (!isOpen && gone.length === 0) return [];
  const images = services.map(({ service, digest }) => `${service}@${digest.slice(0, 'sha256:'.length + 12)}`);
  const own = hasManifests(config);
  const leaving = gone.length === 0 ? '' : `: ${gone.join(', ')}`;
  return [
    {
      kind: 'namespace',
      summary: `see to the namespace${config.namespace === undefined ? '' : ` ${config.namespace}`}`,
    },
    { kind: 'check', summary: 'ask the cluster whether it takes all of it' },
    { kind: 'secrets', summary: "see to the environment's secrets" },
    ...(own ? [{ kind: 'jobs', summary: 'run the Jobs that come before' } as const] : []),
    { kind: 'apply', summary: `give it to the cluster: ${images.join(', ')}` },
    ...services.map(({ service }): KubernetesAction => ({
      kind: 'await-healthy',
      service,
      summary: `wait until every replica of ${service} runs that digest, and is well`,
    })),
    ...(own ? [{ kind: 'await-rest', summary: 'wait for what else the manifests have' } as const] : []),
    { kind: 'prune', summary: `remove what is no part of it any more${leaving}` },
    { kind: 'tidy', summary: 'remember what was applied, remove secrets that nothing uses any more' },
  ];
}

function isDone(
  { operation, config }: Desired<KubernetesConfig>,
  service: DesiredService,
  observed: Observed,
): boolean {
  const { replicas = [] } = observed.services[service.service] ?? {};
  if (hasManifests(config) ? replicas.length === 0 : replicas.length !== service.replicas) return false;
  return replicas.every(
    (replica) =>
      replica.operation === operation &&
      replica.digest === service.digest &&
      replica.health === 'healthy' &&
      replica.serving,
  );
}
