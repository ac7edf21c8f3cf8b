import { DEFAULT_PIDS, DROPPED, LOG } from '../../container/docker/containers.ts';
import { sha256Hex } from '../../lib/digest.ts';
import type { ContainerWish } from '../docker/wish.ts';
import { SECRETS_FOLDER } from '../docker/secrets.ts';
import type { GivenFiles } from './given-files.ts';
import { LABEL, labelsOf, namesNetwork, networkName, type Place, volumeName } from './place.ts';
import type { Stack, StackService } from './stack.ts';

/** A compose file of ours, for Docker Compose to run: literal texts, networks and volumes that are there already. */
export interface Rendered {
  readonly services: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly networks: Readonly<Record<string, Outside>>;
  readonly volumes: Readonly<Record<string, Outside>>;
}

interface Outside {
  readonly external: true;
  readonly name: string;
}

/** One container of the release, under a name of its own: beside those of other operations, and of others of this one. */
export function renderInstance(place: Place, stack: Stack, name: string, wish: ContainerWish): Rendered {
  const file = stack.services.get(name);
  if (file === undefined) throw new TypeError(`"${name}" is not in the compose file.`);
  const { instance, port, engine } = wish;
  const { service, operation, id } = instance;
  const keys = networkKeys(file);
  const out = keys.filter((key) => stack.networks.get(key)?.internal !== true);
  const [main = 'default'] = out;
  const networks = {
    ...Object.fromEntries([...keys, main].map((key) => [key, { priority: key === main ? 1000 : 0 }])),
    ...Object.fromEntries(
      keys.map((key) => [namesKey(key), { aliases: [name, ...(file.networks?.[key]?.aliases ?? [])] }]),
    ),
  };
  const dropped = DROPPED.filter((right) => !(file.cap_add ?? []).some((added) => added.toUpperCase().endsWith(right)));
  const rendered = {
    ...common(file),
    image: wish.image.reference,
    container_name: wish.name,
    ...(service.command === undefined ? {} : { entrypoint: [], command: service.command }),
    environment: { ...environmentOf(file), ...wish.env },
    labels: { ...file.labels, ...wish.labels },
    networks,
    pids_limit: DEFAULT_PIDS,
    ...limitsOf(file, service.limits),
    init: file.init ?? engine.hasInit,
    security_opt: ['no-new-privileges'],
    cap_drop: [...new Set([...(file.cap_drop ?? []), ...dropped])],
    logging: file.logging ?? LOG,
    restart: wish.restarts ? 'unless-stopped' : 'no',
    ...(port === null
      ? {}
      : {
          ports: [
            {
              target: port.inside,
              published: String(port.onMachine),
              host_ip: '127.0.0.1',
              protocol: 'tcp',
              mode: 'ingress',
            },
          ],
        }),
  };
  return {
    services: { [serviceKey(id)]: rendered },
    networks: Object.fromEntries([
      ...[...keys, main].map((key) => [key, outside(networkName(place, key))] as const),
      ...keys.map((key) => [namesKey(key), outside(namesNetwork(place, key, operation))] as const),
    ]),
    volumes: volumesOf(place, [file]),
  };
}

/** What runs beside the release, as the compose file has it. */
export function renderBeside(
  place: Place,
  services: ReadonlyMap<string, StackService>,
  {
    jobs,
    publish,
    files,
  }: { readonly jobs: ReadonlySet<string>; readonly publish: readonly string[]; readonly files: GivenFiles },
): Rendered {
  const rendered = [...services].map(([name, file]) => {
    const needs = Object.entries(file.depends_on ?? {}).filter(([other]) => services.has(other));
    return [
      name,
      {
        ...common(file),
        image: file.image,
        pull_policy: 'never', // it was fetched before, with the credentials of this server
        environment: environmentOf(file),
        labels: { ...file.labels, ...labelsOf(place, name), ...markOf(files.get(name)) },
        networks: Object.fromEntries(networkKeys(file).map((key) => [key, file.networks?.[key] ?? {}])),
        ...limitsOf(file, {}),
        scale: replicasOf(file),
        ...(file.init === undefined ? {} : { init: file.init }),
        ...(file.security_opt === undefined ? {} : { security_opt: file.security_opt }),
        ...(file.cap_drop === undefined ? {} : { cap_drop: file.cap_drop }),
        logging: file.logging ?? LOG,
        restart: restartOf(file, jobs.has(name)),
        ...(publish.includes(name)
          ? { ports: (file.ports ?? []).map((port) => ({ ...port, host_ip: '127.0.0.1' })) }
          : {}),
        ...(needs.length === 0 ? {} : { depends_on: Object.fromEntries(needs) }),
      },
    ] as const;
  });
  const all = [...services.values()];
  const keys = new Set(all.flatMap(networkKeys));
  return {
    services: Object.fromEntries(rendered),
    networks: Object.fromEntries([...keys].map((key) => [key, outside(networkName(place, key))])),
    volumes: volumesOf(place, all),
  };
}

export function networkKeys(file: StackService): string[] {
  const keys = Object.keys(file.networks ?? {});
  return keys.length === 0 ? ['default'] : keys;
}

export function replicasOf(file: StackService): number {
  return file.scale ?? file.deploy?.replicas ?? 1;
}

/** When the engine begins it anew, of what is beside. @param isJob others wait until it ended well */
export function restartOf({ restart }: StackService, isJob: boolean): string {
  return restart ?? (isJob ? 'no' : 'unless-stopped');
}

/** The same for both: it concerns the container alone. */
function common(file: StackService): Record<string, unknown> {
  const kept = KEPT.flatMap((key) =>
    file[key] === undefined || file[key] === null ? [] : [[key, file[key]] as const],
  );
  const volumes = (file.volumes ?? []).filter(({ type }) => type !== 'bind');
  // into a container whose root cannot be written, the engine puts files only where a volume is
  const secrets = file.read_only === true ? [{ type: 'volume', target: SECRETS_FOLDER }] : [];
  return { ...Object.fromEntries(kept), volumes: [...volumes, ...secrets] };
}

const KEPT = [
  'command',
  'entrypoint',
  'working_dir',
  'user',
  'group_add',
  'hostname',
  'domainname',
  'healthcheck',
  'tty',
  'stdin_open',
  'read_only',
  'tmpfs',
  'shm_size',
  'stop_signal',
  'stop_grace_period',
  'platform',
  'cap_add',
  'ulimits',
  'cpu_shares',
  'cpuset',
  'dns',
  'dns_opt',
  'dns_search',
  'extra_hosts',
  'expose',
] as const satisfies (keyof StackService)[];

/** What towpath.yaml says of limits counts; else what the compose file says, in either of its ways. */
function limitsOf(
  { mem_limit, mem_reservation, memswap_limit, cpus, pids_limit, deploy }: StackService,
  limits: { readonly memoryMb?: number; readonly cpus?: number },
): Record<string, unknown> {
  const resources = deploy?.resources;
  const memory = limits.memoryMb === undefined ? undefined : limits.memoryMb * 1024 * 1024;
  const given = {
    mem_limit: memory ?? mem_limit ?? resources?.limits?.memory,
    memswap_limit: memory ?? memswap_limit,
    mem_reservation: memory === undefined ? (mem_reservation ?? resources?.reservations?.memory) : undefined,
    cpus: limits.cpus ?? cpus ?? resources?.limits?.cpus,
    pids_limit: pids_limit ?? resources?.limits?.pids,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function environmentOf(file: StackService): Record<string, string> {
  return Object.fromEntries(
    Object.entries(file.environment ?? {}).flatMap(([name, value]) => (value === null ? [] : [[name, value]])),
  );
}

function volumesOf(place: Place, files: readonly StackService[]): Record<string, Outside> {
  const keys = files.flatMap(({ volumes = [] }) =>
    volumes.flatMap((volume) => (volume.type === 'volume' && volume.source !== undefined ? [volume.source] : [])),
  );
  return Object.fromEntries(keys.map((key) => [key, outside(volumeName(place, key))]));
}

/** Other files make another container. */
function markOf(files: ReadonlyMap<string, Buffer> | undefined): Record<string, string> {
  if (files === undefined) return {};
  return { [LABEL.files]: sha256Hex(JSON.stringify([...files].map(([path, bytes]) => [path, sha256Hex(bytes)]))) };
}

function outside(name: string): Outside {
  return { external: true, name };
}

function namesKey(key: string): string {
  return `${key}.names`;
}

/** The end of an instance's id, which tells it apart from all others of the project. */
function serviceKey(id: string): string {
  return id.split('-').slice(-4).join('-');
}
