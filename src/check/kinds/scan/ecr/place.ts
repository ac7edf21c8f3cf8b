import { endpointIn } from '../../../../registry/aws/endpoint.ts';
import type { AccessKeys } from '../../../../registry/aws/keys.ts';
import type { AgentFor } from '../../../../registry/client/transport.ts';

/** A registry of Amazon ECR, and where its API answers. */
export interface EcrPlace {
  /** Of the account. */
  readonly registryId: string;
  readonly region: string;
  /** What is before the name of each repository, with a slash at its end; empty where nothing is. */
  readonly prefix: string;
  readonly endpoint: URL;
}

/** What is needed to ask it. */
export interface EcrAccess {
  readonly place: EcrPlace;
  /** @throws RegistryError `registry.credentials` */
  readonly keys: () => Promise<AccessKeys>;
  readonly agentFor: AgentFor;
}

const HOST = /^(\d{12})\.dkr[.-]ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?|on\.aws)$/;

/**
 * @param registry its host, and what every repository of it lies below: `HOST[/PREFIX]`
 * @returns null for a registry that is not of ECR
 * @throws RegistryError `registry.name-invalid` for an endpoint that is none
 * @see docs.aws.amazon.com, "Amazon ECR endpoints and quotas"
 */
export function ecrPlace(registry: string, environment: NodeJS.ProcessEnv): EcrPlace | null {
  const [host = '', ...prefix] = registry.split('/');
  const [, registryId, fips = '', region, domain = ''] = HOST.exec(host) ?? [];
  if (registryId === undefined || region === undefined) return null;
  const name = fips === '' ? 'api.ecr' : 'ecr-fips';
  const suffix = domain.endsWith('.cn') ? 'amazonaws.com.cn' : 'amazonaws.com';
  const own = endpointIn(environment, 'AWS_ENDPOINT_URL_ECR');
  return {
    registryId,
    region,
    prefix: prefix.map((part) => `${part}/`).join(''),
    endpoint: own ?? new URL(`https://${name}.${region}.${suffix}/`),
  };
}
