import type { Registry } from '../registry.ts';
import { outsideAgents } from './agents.ts';
import type { OutsideAgentsOptions } from './agents.ts';
import { createRegistryClient } from './client.ts';
import { dockerCredentials } from './docker-credentials.ts';

/**
 * Registries that are not ours, as this machine reaches them: with what docker knows of them, by the proxies of the
 * environment. `TOWPATH_TOKEN_SERVICES` names hosts, separated by commas, to which a registry may send its password
 * though they are of another domain.
 */
export function outsideRegistries(options: OutsideAgentsOptions): (host: string) => Registry {
  const { environment } = options;
  const agentFor = outsideAgents(options);
  const credentials = dockerCredentials({ environment });
  const trustedRealms = (environment['TOWPATH_TOKEN_SERVICES'] ?? '')
    .split(',')
    .map((host) => host.trim())
    .filter((host) => host !== '');
  const registries = new Map<string, Registry>();
  return (host) => {
    const known = registries.get(host) ?? createRegistryClient({ host, credentials, trustedRealms, agentFor });
    registries.set(host, known);
    return known;
  };
}
