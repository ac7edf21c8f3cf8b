import { refused, secretMissing } from '../../compose/compose-error.ts';
import type { DesiredService } from '../../driver.ts';
import type { SwarmConfig } from '../config.ts';
import type { FileService } from './stack-file.ts';

/** What a stack file adds to a service, in the words of the Engine API. Durations are nanoseconds. */
export interface StackPart {
  readonly labels: Readonly<Record<string, string>>;
  readonly containerLabels: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[] | null;
  readonly command: readonly string[] | null;
  /** Of the `ContainerSpec`. */
  readonly container: Readonly<Record<string, unknown>>;
  /** Of the `TaskTemplate`. */
  readonly task: Readonly<Record<string, unknown>>;
  readonly limits: Readonly<Record<string, number>>;
  readonly reservations: Readonly<Record<string, number>>;
  readonly networks: readonly { readonly key: string; readonly aliases: readonly string[] }[];
  readonly configs: readonly GivenConfig[];
  readonly update: Readonly<Record<string, string | number>>;
  readonly rollback: Readonly<Record<string, string | number>>;
  readonly endpointMode: 'vip' | 'dnsrr' | null;
  readonly ports: readonly {
    readonly TargetPort: number;
    readonly PublishMode: string;
    readonly PublishedPort?: number;
  }[];
  /** How many replicas an update replaces at once, how long it then watches and waits, and how long old ones may take to end. */
  readonly parallelism: number | undefined;
  readonly pauseMs: number;
  readonly graceMs: number | undefined;
}

export interface GivenConfig {
  /** As the file calls it. */
  readonly key: string;
  readonly File: { readonly Name: string; readonly UID: string; readonly GID: string; readonly Mode: number };
}

const NANO = 1_000_000;
/** What the engine takes where a health check does not say it. */
const HEALTH = { interval: 30_000 * NANO, timeout: 30_000 * NANO, retries: 3 };

/**
 * @param service with what the file decides of it
 * @throws DeployError `compose.refused`, `compose.secret-missing`
 */
export function partOf(file: FileService, service: DesiredService, config: SwarmConfig, name: string): StackPart {
  const { deploy = {}, logging, configs = [], networks = {}, environment = {} } = file;
  const { limits, reservations } = deploy.resources ?? {};
  checkSecrets(file, service, name);
  checkOrder(file, service, config, name);
  const keys = Object.keys(networks);
  return {
    labels: deploy.labels ?? {},
    containerLabels: file.labels ?? {},
    env: Object.fromEntries(
      Object.entries(environment).flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
    ),
    entrypoint: file.entrypoint ?? null,
    command: file.command ?? null,
    container: containerOf(file),
    task: given({
      RestartPolicy: restartOf(deploy.restart_policy),
      Placement: placementOf(deploy.placement),
      LogDriver: logging && { Name: logging.driver ?? 'json-file', Options: logging.options ?? {} },
    }),
    limits: given({ NanoCPUs: nano(limits?.cpus), MemoryBytes: limits?.memory, Pids: limits?.pids }),
    reservations: given({ NanoCPUs: nano(reservations?.cpus), MemoryBytes: reservations?.memory }),
    networks: (keys.length === 0 ? ['default'] : keys).map((key) => ({
      key,
      aliases: [name, ...(networks[key]?.aliases ?? [])],
    })),
    configs: configs.map(({ source, target = `/${source}`, uid = '0', gid = '0', mode = 0o444 }) => ({
      key: source,
      File: { Name: target, UID: uid, GID: gid, Mode: typeof mode === 'number' ? mode : Number.parseInt(mode, 8) },
    })),
    update: changeOf(deploy.update_config),
    rollback: changeOf(deploy.rollback_config),
    endpointMode: deploy.endpoint_mode ?? null,
    ports: portsOf(file, service, config, name),
    parallelism: deploy.update_config?.parallelism,
    graceMs: file.stop_grace_period === undefined ? undefined : file.stop_grace_period / NANO,
    pauseMs: ((deploy.update_config?.delay ?? 0) + (deploy.update_config?.monitor ?? 0)) / NANO,
  };
}

/**
 * The service with what the file decides of it instead of towpath.yaml.
 * @throws DeployError `compose.refused`
 */
export function serviceWith(
  file: FileService,
  service: DesiredService,
  config: SwarmConfig,
  name: string,
): DesiredService {
  const replicas = file.deploy?.replicas;
  if (replicas !== undefined && replicas < service.replicas) {
    throw refused(
      `\`services.${name}.deploy.replicas: ${replicas}\``,
      `fewer than the ${service.replicas} of towpath.yaml, which have to serve`,
      'Take `replicas` out of one of the two, or make them equal.',
    );
  }
  const published = file.ports?.find(({ target }) => target === service.port)?.published;
  const health = healthOf(file);
  return {
    ...service,
    replicas: replicas ?? service.replicas,
    ...(config.publish === 'proxy' || published === undefined ? {} : { publicPort: Number(published) }),
    ...(health === null ? {} : { health: { path: service.health?.path ?? '/', ...health } }),
  };
}

function containerOf(file: FileService): Record<string, unknown> {
  const hosts = file.extra_hosts?.map((entry) => {
    const [, host, address] = /^([^=:]+)[=:](.+)$/.exec(entry) ?? [];
    return `${address?.replace(/^\[(.*)\]$/, '$1')} ${host}`;
  });
  return given({
    Dir: file.working_dir,
    User: file.user,
    Hostname: file.hostname,
    Init: file.init,
    TTY: file.tty,
    OpenStdin: file.stdin_open,
    ReadOnly: file.read_only,
    StopSignal: file.stop_signal,
    StopGracePeriod: file.stop_grace_period,
    Healthcheck: healthcheckOf(file.healthcheck),
    Ulimits:
      file.ulimits &&
      Object.entries(file.ulimits).map(([name, value]) => ({
        Name: name,
        ...(typeof value === 'number' ? { Soft: value, Hard: value } : { Soft: value.soft, Hard: value.hard }),
      })),
    DNSConfig: (file.dns ?? file.dns_search) && { Nameservers: file.dns ?? [], Search: file.dns_search ?? [] },
    Hosts: hosts,
    CapabilityAdd: file.cap_add?.map(capability),
    CapabilityDrop: file.cap_drop?.map(capability),
  });
}

/** How long what the file asks of health may take, in the words of towpath.yaml: there three bad answers in a row are too many. */
function healthOf({ healthcheck }: FileService): { intervalMs: number; timeoutMs: number; startMs: number } | null {
  if (healthcheck?.test === undefined || healthcheck.disable === true || healthcheck.test[0] === 'NONE') return null;
  const {
    interval = HEALTH.interval,
    timeout = HEALTH.timeout,
    retries = HEALTH.retries,
    start_period = 0,
  } = healthcheck;
  const more = Math.max(0, retries - HEALTH.retries) * (interval + timeout);
  return { intervalMs: interval / NANO, timeoutMs: timeout / NANO, startMs: (start_period + more) / NANO };
}

function healthcheckOf(health: FileService['healthcheck']): Record<string, unknown> | undefined {
  if (health === undefined) return undefined;
  if (health.disable === true) return { Test: ['NONE'] };
  const { test, interval, timeout, start_period, retries } = health;
  return given({ Test: test, Interval: interval, Timeout: timeout, StartPeriod: start_period, Retries: retries });
}

function restartOf(policy: NonNullable<FileService['deploy']>['restart_policy']): object | undefined {
  if (policy === undefined) return undefined;
  const { condition = 'any', delay, max_attempts, window } = policy;
  return given({ Condition: condition, Delay: delay, MaxAttempts: max_attempts, Window: window });
}

function placementOf(placement: NonNullable<FileService['deploy']>['placement']): object | undefined {
  if (placement === undefined) return undefined;
  return given({
    Constraints: placement.constraints,
    Preferences: placement.preferences?.map(({ spread }) => ({ Spread: { SpreadDescriptor: spread } })),
    MaxReplicas: placement.max_replicas_per_node,
  });
}

function changeOf(
  change: NonNullable<FileService['deploy']>['update_config' | 'rollback_config'] = {},
): Record<string, string | number> {
  return given<string | number>({
    Parallelism: change.parallelism,
    Delay: change.delay,
    Monitor: change.monitor,
    MaxFailureRatio: change.max_failure_ratio,
    Order: change.order,
    FailureAction: change.failure_action,
  });
}

/**
 * Behind the proxy the stable URL stands for the port of the service, and nothing else is reached from outside. Where Swarm publishes
 * by itself, ports are as the file has them.
 */
function portsOf(
  { ports = [], deploy }: FileService,
  { port, publicPort }: DesiredService,
  { publish }: SwarmConfig,
  name: string,
): StackPart['ports'] {
  const where = `\`services.${name}.ports\``;
  const own = ports.find(({ target }) => target === port);
  if (publish === 'proxy') {
    if (ports.every((one) => one === own)) return [];
    throw refused(
      `${where} besides the service's own`,
      'and behind the proxy only that one is reached',
      'Take them out, or set `publish: ingress` or `host` in towpath.yaml: then ports are as the file has them.',
    );
  }
  if (own !== undefined && (own.mode ?? 'ingress') !== publish) {
    throw refused(
      `${where} in mode \`${own.mode ?? 'ingress'}\``,
      `while towpath.yaml says \`publish: ${publish}\``,
      'Make the two equal.',
    );
  }
  const all = ports.map(
    ({ target, published = target === port ? publicPort : undefined, protocol = 'tcp', mode = 'ingress' }) => ({
      Protocol: protocol,
      TargetPort: target,
      PublishMode: mode,
      ...(published === undefined ? {} : { PublishedPort: Number(published) }),
    }),
  );
  if (
    deploy?.endpoint_mode === 'dnsrr' &&
    (publish === 'ingress' || all.some(({ PublishMode }) => PublishMode === 'ingress'))
  ) {
    throw refused(
      `\`services.${name}.deploy.endpoint_mode: dnsrr\` with a port in mode \`ingress\``,
      'which no Swarm takes',
      'Leave one of the two out.',
    );
  }
  return all;
}

/** A port of a node cannot be held twice: an update that begins the new one first would wait for ever. */
function checkOrder(
  { deploy, ports = [] }: FileService,
  { publicPort }: DesiredService,
  { publish }: SwarmConfig,
  name: string,
): void {
  const holds = publish !== 'proxy' && ports.some(({ mode, published }) => mode === 'host' && published !== undefined);
  if (!holds && (publish !== 'host' || publicPort === undefined)) return;
  for (const word of ['update_config', 'rollback_config'] as const) {
    if (deploy?.[word]?.order !== 'start-first') continue;
    throw refused(
      `\`services.${name}.deploy.${word}.order: start-first\` with a port of the node`,
      'which two cannot hold at once: it would wait for ever',
      'Say `stop-first`, or leave it out.',
    );
  }
}

/** All secrets of the environment are in `/run/secrets` by their names; so the file can ask for one, and not for another name of it. */
function checkSecrets({ secrets = [] }: FileService, service: DesiredService, name: string): void {
  for (const { source, target = source } of secrets) {
    if (!Object.hasOwn(service.secrets, source)) throw secretMissing(name, source);
    if (target === source || target === `/run/secrets/${source}`) continue;
    throw refused(
      `\`services.${name}.secrets\` with the target ${JSON.stringify(target)}`,
      'while a secret has one name in an environment',
      `Call it ${JSON.stringify(target)} in towpath.yaml, or read ${source}.`,
    );
  }
}

function capability(name: string): string {
  const upper = name.toUpperCase();
  return upper === 'ALL' || upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
}

function nano(cpus: number | undefined): number | undefined {
  return cpus === undefined ? undefined : Math.round(cpus * 1e9);
}

function given<T>(fields: Readonly<Record<string, T | undefined>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
