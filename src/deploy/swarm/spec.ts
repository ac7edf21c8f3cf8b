import { SECRETS_FOLDER } from '../docker/secrets.ts';
import type { DesiredService } from '../driver.ts';
import type { SwarmConfig } from './config.ts';
import { type HealthCheck, healthCheck } from './health.ts';
import { jobLabels, LABEL, networkName, type Place, placeLabels, serviceName } from './names.ts';
import type { StackPart } from './stack/stack-part.ts';

/** A secret as Swarm has it: what it is called there, and the file that it becomes inside. */
export interface GivenSecret {
  readonly id: string;
  readonly swarmName: string;
  readonly file: string;
}

export interface SpecParts {
  readonly place: Place;
  readonly config: SwarmConfig;
  readonly service: DesiredService;
  readonly operation: string;
  readonly token: bigint;
  readonly secrets: readonly GivenSecret[];
  /** What a stack file adds. */
  readonly part?: StackPart | undefined;
  /** The configs of the stack file: as it calls them -> as Swarm has them. */
  readonly configs?: ReadonlyMap<string, { readonly id: string; readonly swarmName: string }>;
}

/** The body of `POST /services/create`, as far as we fill it. Durations are nanoseconds. */
export type ServiceSpec = ReturnType<typeof specOf> | ReturnType<typeof jobSpecOf>;

const NANO = 1_000_000;
/** Rights that no service of ours needs and that help an intruder: raw packets, devices, file capabilities, audit. */
const DROPPED = ['CAP_AUDIT_WRITE', 'CAP_MKNOD', 'CAP_NET_RAW', 'CAP_SETFCAP'];
const DEFAULT_PIDS = 4096;
/** A worker is looked at for this long after it began; one with a check was found well before it counts as running. */
const WORKER_MONITOR_MS = 5000;

/**
 * A service as Swarm is asked to run it. The operation is a label of the containers, so each operation begins them anew, also with
 * an equal image: that is how a changed secret arrives. The image is `repository@sha256:...`, which no node resolves otherwise.
 */
export function specOf(given: SpecParts) {
  const { place, config, service, operation, token, part } = given;
  const { publicPort } = service;
  const order = orderOf(config, service, part);
  const health = part?.container['Healthcheck'] === undefined ? healthCheck(service, config.probe) : undefined;
  const monitorMs = health === undefined && service.health === undefined ? WORKER_MONITOR_MS : 1000;
  const labels = {
    ...placeLabels(place),
    [LABEL.service]: service.service,
    [LABEL.operation]: operation,
    [LABEL.digest]: service.digest,
  };
  return {
    Name: serviceName(place, service.service),
    Labels: {
      ...part?.labels,
      ...labels,
      [LABEL.token]: String(token),
      ...(publicPort === undefined ? {} : { [LABEL.publicPort]: String(publicPort), [LABEL.publish]: config.publish }),
    },
    TaskTemplate: {
      RestartPolicy: { Condition: 'any', Delay: 2000 * NANO },
      ...part?.task,
      ContainerSpec: {
        ...(health === undefined ? {} : { Healthcheck: health satisfies HealthCheck }),
        ...containerOf(given, labels),
      },
      Resources: resourcesOf(given),
      Networks: networksOf(given).map(({ key, aliases }) => ({
        Target: networkName(place, key),
        Aliases: [...new Set([...aliasesOf(service.service), ...aliases])],
      })),
    },
    Mode: { Replicated: { Replicas: service.replicas } },
    UpdateConfig: {
      Parallelism: config.parallelism,
      FailureAction: 'rollback',
      Monitor: monitorMs * NANO,
      MaxFailureRatio: 0,
      Order: order,
      ...part?.update,
    },
    RollbackConfig: {
      Parallelism: 0,
      FailureAction: 'pause',
      Monitor: 1000 * NANO,
      MaxFailureRatio: 0,
      Order: order,
      ...part?.rollback,
    },
    EndpointSpec: {
      Mode: part?.endpointMode ?? (config.publish === 'ingress' ? 'vip' : 'dnsrr'),
      Ports: [...ownPort(config, service, part), ...(part?.ports ?? [])],
    },
  };
}

/**
 * A program of a release that runs to its end, once, as Swarm is asked to run it: on the network of its place, without a name there.
 * It is one replica that is never begun again, and not a `replicated-job`: of such a one Swarm begins another task when a manager
 * takes over after it failed.
 */
export function jobSpecOf(name: string, given: Omit<SpecParts, 'token'>) {
  const { place, service, operation, part } = given;
  const labels = { ...jobLabels(place), [LABEL.service]: service.service, [LABEL.operation]: operation };
  return {
    Name: name,
    Labels: labels,
    TaskTemplate: {
      ...part?.task,
      RestartPolicy: { Condition: 'none' },
      ContainerSpec: { ...containerOf(given, labels), Healthcheck: { Test: ['NONE'] } },
      Resources: resourcesOf(given),
      Networks: networksOf(given).map(({ key }) => ({ Target: networkName(place, key) })),
    },
    Mode: { Replicated: { Replicas: 1 } },
    EndpointSpec: { Mode: 'dnsrr' },
  };
}

/** A port of the node cannot be held twice, so where one is asked for the old program ends first. */
export function orderOf(
  { publish }: SwarmConfig,
  { publicPort }: DesiredService,
  part?: StackPart,
): 'start-first' | 'stop-first' {
  const holds = part?.ports.some(
    ({ PublishMode, PublishedPort }) => PublishMode === 'host' && PublishedPort !== undefined,
  );
  return (publish === 'host' && publicPort !== undefined) || holds === true ? 'stop-first' : 'start-first';
}

type ContainerParts = Pick<SpecParts, 'config' | 'service' | 'secrets' | 'part' | 'configs'>;

function containerOf(
  { config, service, secrets, part, configs = new Map() }: ContainerParts,
  labels: Readonly<Record<string, string>>,
) {
  const { entrypoint = null, command = null } =
    service.command === undefined ? (part ?? {}) : { entrypoint: service.command };
  const added = new Set((part?.container['CapabilityAdd'] as string[] | undefined) ?? []);
  const dropped = (part?.container['CapabilityDrop'] as string[] | undefined) ?? [];
  return {
    Image: `${service.image}@${service.digest}`,
    ...(entrypoint === null ? {} : { Command: [...entrypoint] }),
    ...(command === null ? {} : { Args: [...command] }),
    Env: environmentOf(service, secrets, part?.env ?? {}),
    Init: true,
    StopGracePeriod: config.graceMs * NANO,
    ...part?.container,
    Labels: { ...part?.containerLabels, ...labels },
    CapabilityDrop: [...new Set([...dropped, ...DROPPED.filter((right) => !added.has(right))])],
    Secrets: secrets.map(({ id, swarmName, file }) => ({
      SecretID: id,
      SecretName: swarmName,
      File: { Name: file, UID: '0', GID: '0', Mode: 0o444 },
    })),
    Configs: (part?.configs ?? []).map(({ key, File }) => ({
      ConfigID: configs.get(key)?.id ?? '',
      ConfigName: configs.get(key)?.swarmName ?? key,
      File,
    })),
  };
}

/** What towpath.yaml says of limits counts; else what the stack file says. */
function resourcesOf({ service: { limits }, part }: Pick<SpecParts, 'service' | 'part'>) {
  return {
    Limits: {
      Pids: DEFAULT_PIDS,
      ...part?.limits,
      ...(limits.memoryMb === undefined ? {} : { MemoryBytes: limits.memoryMb * 1024 * 1024 }),
      ...(limits.cpus === undefined ? {} : { NanoCPUs: Math.round(limits.cpus * 1e9) }),
    },
    Reservations: { ...part?.reservations },
  };
}

function networksOf({ part }: Pick<SpecParts, 'part'>): StackPart['networks'] {
  return part?.networks ?? [{ key: 'default', aliases: [] }];
}

/** Behind the local proxy each node chooses the port: so old and new stand side by side on it. */
function ownPort({ publish }: SwarmConfig, { port, publicPort }: DesiredService, part: StackPart | undefined) {
  if (port === undefined || publicPort === undefined) return [];
  if (part?.ports.some(({ TargetPort }) => TargetPort === port) === true) return [];
  const PublishMode = publish === 'ingress' ? 'ingress' : 'host';
  return [
    { Protocol: 'tcp', TargetPort: port, PublishMode, ...(publish === 'proxy' ? {} : { PublishedPort: publicPort }) },
  ];
}

/** What the stack file says stands as Docker reads it; what towpath.yaml says is meant as it stands, and stands over it. */
function environmentOf(
  { env, port }: DesiredService,
  secrets: readonly GivenSecret[],
  fromFile: Readonly<Record<string, string>>,
): string[] {
  const ours = {
    ...env,
    ...(port === undefined ? {} : { PORT: String(port) }),
    ...(secrets.length === 0 ? {} : { TOWPATH_SECRETS: SECRETS_FOLDER }),
  };
  const literal = Object.entries(ours).map(([name, value]) => [name, literally(value)] as const);
  return Object.entries({ ...fromFile, ...Object.fromEntries(literal) }).map(([name, value]) => `${name}=${value}`);
}

/** Swarm reads variables as Go templates; what ours say is meant as it stands. */
function literally(text: string): string {
  return text.replaceAll('{{', '{{"{{"}}');
}

/** The name by which the services of one environment find each other, where it can be one. */
function aliasesOf(service: string): string[] {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(service) ? [service] : [];
}
