import type { DockerEngine } from '../../container/docker/engine.ts';
import type { EngineImage } from '../../container/docker/images.ts';
import type { ImageConfig } from '../../container/runtime.ts';
import type { InstanceSpec, RuntimeContext } from '../rollout.ts';
import { SECRETS_FOLDER } from './secrets.ts';

/**
 * How a container is made, not started.
 * @returns whether it has a folder for secrets already
 */
export type MakeContainer = (
  container: ContainerWish,
  context: RuntimeContext,
) => Promise<{ readonly hasSecretsFolder: boolean }>;

export interface ContainerWish {
  readonly engine: DockerEngine;
  readonly name: string;
  readonly instance: InstanceSpec;
  readonly image: { readonly reference: string; readonly config: ImageConfig };
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Of the environment; it is there. */
  readonly network: string;
  /** False for one that runs to its end: then it stays as it is. */
  readonly restarts: boolean;
  /** Which port of the machine's loopback leads to the program's. */
  readonly port: { readonly inside: number; readonly onMachine: number } | null;
}

export function wishOf(
  {
    engine,
    name,
    instance,
    network,
    onMachine,
    labels,
    restarts,
  }: Omit<ContainerWish, 'image' | 'env' | 'port'> & { readonly onMachine: number | null },
  { config }: EngineImage,
): ContainerWish {
  const { service, secrets } = instance;
  return {
    engine,
    name,
    instance,
    network,
    image: { reference: `${service.image}@${service.digest}`, config },
    env: {
      ...service.env,
      ...(service.port === undefined ? {} : { PORT: String(service.port) }),
      ...(secrets.size === 0 ? {} : { TOWPATH_SECRETS: SECRETS_FOLDER }),
    },
    labels,
    restarts,
    port: service.port === undefined || onMachine === null ? null : { inside: service.port, onMachine },
  };
}
