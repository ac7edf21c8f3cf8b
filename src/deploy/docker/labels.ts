import { z } from 'zod';

import type { ContainerState } from '../../container/docker/containers.ts';
import type { EngineImage } from '../../container/docker/images.ts';
import { type Digest, isDigest } from '../../lib/digest.ts';
import { type Instance, type InstanceSpec, targetKey } from '../rollout.ts';

/** What a container says of itself: enough to know it again after any restart of ours, and never a secret. */
export const LABEL = {
  installation: 'dev.towpath.installation',
  target: 'dev.towpath.target',
  project: 'dev.towpath.project',
  environment: 'dev.towpath.environment',
  instance: 'dev.towpath.instance',
  service: 'dev.towpath.service',
  operation: 'dev.towpath.operation',
  digest: 'dev.towpath.digest',
  port: 'dev.towpath.port',
  publicPort: 'dev.towpath.public-port',
  health: 'dev.towpath.health',
  secrets: 'dev.towpath.secrets',
} as const;

const Port = z.coerce.number().int().positive();
const Labels = z.object({
  [LABEL.instance]: z.string(),
  [LABEL.service]: z.string(),
  [LABEL.operation]: z.string(),
  [LABEL.digest]: z.string(),
  [LABEL.port]: Port.optional(),
  [LABEL.publicPort]: Port.optional(),
  [LABEL.health]: z
    .string()
    .transform((text) => JSON.parse(text) as unknown)
    .pipe(z.object({ path: z.string(), intervalMs: z.number(), timeoutMs: z.number(), startMs: z.number() }))
    .optional(),
});

export function labelsOf(instance: InstanceSpec, installation: string): Record<string, string> {
  const { id, operation, target, service } = instance;
  return {
    [LABEL.installation]: installation,
    [LABEL.target]: targetKey(target),
    [LABEL.project]: target.project,
    [LABEL.environment]: target.environment,
    [LABEL.instance]: id,
    [LABEL.service]: service.service,
    [LABEL.operation]: operation,
    [LABEL.digest]: service.digest,
    ...(service.port === undefined ? {} : { [LABEL.port]: String(service.port) }),
    ...(service.publicPort === undefined ? {} : { [LABEL.publicPort]: String(service.publicPort) }),
    ...(Object.keys(service.secrets).length === 0
      ? {}
      : { [LABEL.secrets]: JSON.stringify(Object.keys(service.secrets)) }),
    ...(service.health === undefined ? {} : { [LABEL.health]: JSON.stringify(service.health) }),
  };
}

/** The names of the secrets that a container was given. */
export function secretNamesOf({ labels }: ContainerState): string[] {
  return z.array(z.string()).parse(JSON.parse(labels[LABEL.secrets] ?? '[]'));
}

/** @param image what the engine says of the image that this container really runs; null when it was removed under it */
export function instanceOf(container: ContainerState, image: EngineImage | null): Instance {
  const labels = Labels.parse(container.labels);
  const port = labels[LABEL.port];
  const onMachine = port === undefined ? undefined : container.ports.get(port);
  return {
    id: labels[LABEL.instance],
    service: labels[LABEL.service],
    operation: labels[LABEL.operation],
    digest: digestOf(labels[LABEL.digest], container, image),
    running: container.running,
    startedAtMs: container.startedAtMs,
    address: container.running && onMachine !== undefined ? { host: '127.0.0.1', port: onMachine } : null,
    health: labels[LABEL.health] ?? null,
    publicPort: labels[LABEL.publicPort] ?? null,
  };
}

/**
 * The manifest that runs, by the engine's own word. An image can have several manifests (the same layers, compressed
 * otherwise): then the one that was asked for counts, if it is among them.
 */
function digestOf(asked: string, container: ContainerState, image: EngineImage | null): Digest {
  const found = image?.digests.find((digest) => digest === asked) ?? image?.digests[0] ?? container.imageId;
  if (isDigest(found)) return found;
  throw new TypeError(`The engine names an image by "${found}", which is not a digest.`);
}
