import { SECRETS_FOLDER } from '../docker/secrets.ts';
import type { DesiredService } from '../driver.ts';
import type { SwarmConfig } from './config.ts';
import { type HealthCheck, healthCheck } from './health.ts';
import { jobLabels, LABEL, type Place, placeLabels, placeName, serviceName } from './names.ts';

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
export function specOf({ place, config, service, operation, token, secrets }: SpecParts) {
  const { port, publicPort } = service;
  const order = orderOf(config, service);
  const health = healthCheck(service, config.probe);
  const monitorMs = health === undefined ? WORKER_MONITOR_MS : 1000;
  const labels = {
    ...placeLabels(place),
    [LABEL.service]: service.service,
    [LABEL.operation]: operation,
    [LABEL.digest]: service.digest,
  };
  return {
    Name: serviceName(place, service.service),
    Labels: {
      ...labels,
      [LABEL.token]: String(token),
      ...(publicPort === undefined ? {} : { [LABEL.publicPort]: String(publicPort), [LABEL.publish]: config.publish }),
    },
    TaskTemplate: {
      ContainerSpec: {
        ...containerOf({ config, service, secrets }, labels),
        ...(health === undefined ? {} : { Healthcheck: health satisfies HealthCheck }),
      },
      Resources: { Limits: limitsOf(service) },
      RestartPolicy: { Condition: 'any', Delay: 2000 * NANO },
      Networks: [{ Target: placeName(place), Aliases: aliasesOf(service.service) }],
    },
    Mode: { Replicated: { Replicas: service.replicas } },
    UpdateConfig: {
      Parallelism: config.parallelism,
      FailureAction: 'rollback',
      Monitor: monitorMs * NANO,
      MaxFailureRatio: 0,
      Order: order,
    },
    RollbackConfig: { Parallelism: 0, FailureAction: 'pause', Monitor: 1000 * NANO, MaxFailureRatio: 0, Order: order },
    EndpointSpec: {
      Mode: config.publish === 'ingress' ? 'vip' : 'dnsrr',
      ...(port === undefined || publicPort === undefined ? {} : { Ports: [portOf(config, port, publicPort)] }),
    },
  };
}

/**
 * A program of a release that runs to its end, once, as Swarm is asked to run it: on the network of its place, without a name there.
 * It is one replica that is never begun again, and not a `replicated-job`: of such a one Swarm begins another task when a manager
 * takes over after it failed.
 */
export function jobSpecOf(name: string, { place, config, service, operation, secrets }: Omit<SpecParts, 'token'>) {
  const labels = { ...jobLabels(place), [LABEL.service]: service.service, [LABEL.operation]: operation };
  return {
    Name: name,
    Labels: labels,
    TaskTemplate: {
      ContainerSpec: { ...containerOf({ config, service, secrets }, labels), Healthcheck: { Test: ['NONE'] } },
      Resources: { Limits: limitsOf(service) },
      RestartPolicy: { Condition: 'none' },
      Networks: [{ Target: placeName(place) }],
    },
    Mode: { Replicated: { Replicas: 1 } },
    EndpointSpec: { Mode: 'dnsrr' },
  };
}

/** A port of the node cannot be held twice, so where one is asked for the old program ends first. */
export function orderOf({ publish }: SwarmConfig, { publicPort }: DesiredService): 'start-first' | 'stop-first' {
  return publish === 'host' && publicPort !== undefined ? 'stop-first' : 'start-first';
}

function containerOf(
  { config, service, secrets }: Pick<SpecParts, 'config' | 'service' | 'secrets'>,
  labels: Readonly<Record<string, string>>,
) {
  return {
    Image: `${service.image}@${service.digest}`,
    Labels: labels,
    ...(service.command === undefined ? {} : { Command: [...service.command] }),
    Env: environmentOf(service, secrets),
    Init: true,
    StopGracePeriod: config.graceMs * NANO,
    CapabilityDrop: DROPPED,
    Secrets: secrets.map(({ id, swarmName, file }) => ({
      SecretID: id,
      SecretName: swarmName,
      File: { Name: file, UID: '0', GID: '0', Mode: 0o444 },
    })),
  };
}

function limitsOf({ limits: { memoryMb, cpus } }: DesiredService) {
  return {
    Pids: DEFAULT_PIDS,
    ...(memoryMb === undefined ? {} : { MemoryBytes: memoryMb * 1024 * 1024 }),
    ...(cpus === undefined ? {} : { NanoCPUs: Math.round(cpus * 1e9) }),
  };
}

/** Behind the local proxy each node chooses the port: so old and new stand side by side on it. */
function portOf({ publish }: SwarmConfig, port: number, publicPort: number) {
  return {
    Protocol: 'tcp',
    TargetPort: port,
    PublishMode: publish === 'ingress' ? 'ingress' : 'host',
    ...(publish === 'proxy' ? {} : { PublishedPort: publicPort }),
  };
}

function environmentOf({ env, port }: DesiredService, secrets: readonly GivenSecret[]): string[] {
  const all = {
    ...env,
    ...(port === undefined ? {} : { PORT: String(port) }),
    ...(secrets.length === 0 ? {} : { TOWPATH_SECRETS: SECRETS_FOLDER }),
  };
  return Object.entries(all).map(([name, value]) => literally(`${name}=${value}`));
}

/** Swarm reads variables as Go templates; what ours say is meant as it stands. */
function literally(text: string): string {
  return text.replaceAll('{{', '{{"{{"}}');
}

/** The name by which the services of one environment find each other, where it can be one. */
function aliasesOf(service: string): string[] {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(service) ? [service] : [];
}
