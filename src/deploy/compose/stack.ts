import { z } from 'zod';

import { refused } from './compose-error.ts';
import { unknown } from './read-files.ts';

/*
 * What a compose file may hold, as `docker compose config --format json` writes it out. The file comes from the commit that is
 * deployed, so whoever may push a branch wrote it: what reaches out of the environment is not in this list, and what is not in this
 * list is refused by its name.
 */

/** The capabilities that Docker gives to every container, so that asking for them asks for nothing. */
const USUAL = new Set(
  'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'.split(
    ' ',
  ),
);

const Texts = z.array(z.string());
const Amount = z.union([z.string(), z.number()]);
const Anything = z.unknown().optional();
const Count = z.number().int().min(0).max(50);

const Volume = z.union([
  z.strictObject({
    type: z.literal('volume'),
    source: z.string().optional(),
    target: z.string(),
    read_only: z.boolean().optional(),
    volume: z.strictObject({ nocopy: z.boolean().optional(), subpath: z.string().optional() }).optional(),
  }),
  z.strictObject({
    type: z.literal('bind'),
    source: z.string(),
    target: z.string(),
    read_only: z.boolean().optional(),
    bind: z.strictObject({ create_host_path: z.boolean().optional() }).optional(),
  }),
  z.strictObject({ type: z.literal('tmpfs'), target: z.string(), read_only: z.boolean().optional(), tmpfs: Anything }),
]);

const Resources = z.strictObject({
  limits: z
    .strictObject({ cpus: Amount.optional(), memory: Amount.optional(), pids: z.number().optional() })
    .optional(),
  reservations: z.strictObject({ cpus: Amount.optional(), memory: Amount.optional() }).optional(),
});

export const StackService = z.strictObject({
  image: z.string(),
  command: Texts.nullish(),
  entrypoint: Texts.nullish(),
  environment: z.record(z.string(), z.string().nullable()).optional(),
  working_dir: z.string().optional(),
  user: z.string().optional(),
  group_add: Texts.optional(),
  hostname: z.string().optional(),
  domainname: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  healthcheck: Anything,
  init: z.boolean().optional(),
  tty: z.boolean().optional(),
  stdin_open: z.boolean().optional(),
  read_only: z.boolean().optional(),
  tmpfs: Texts.optional(),
  shm_size: Amount.optional(),
  stop_signal: z.string().optional(),
  stop_grace_period: z.string().optional(),
  restart: z.string().optional(),
  platform: z.string().optional(),
  cap_add: Texts.optional(),
  cap_drop: Texts.optional(),
  security_opt: Texts.optional(),
  ulimits: Anything,
  mem_limit: Amount.optional(),
  mem_reservation: Amount.optional(),
  memswap_limit: Amount.optional(),
  cpus: Amount.optional(),
  cpu_shares: Amount.optional(),
  cpuset: z.string().optional(),
  pids_limit: z.number().optional(),
  logging: z
    .strictObject({
      driver: z.enum(['json-file', 'local']).optional(),
      options: z.record(z.string(), z.string()).optional(),
    })
    .optional(),
  dns: Texts.optional(),
  dns_opt: Texts.optional(),
  dns_search: Texts.optional(),
  extra_hosts: Texts.optional(),
  expose: z.array(Amount).optional(),
  networks: z
    .record(z.string(), z.strictObject({ aliases: Texts.optional(), priority: z.number().optional() }).nullable())
    .optional(),
  volumes: z.array(Volume).optional(),
  secrets: z.array(z.looseObject({ source: z.string(), target: z.string().optional() })).optional(),
  configs: z.array(z.looseObject({ source: z.string(), target: z.string().optional() })).optional(),
  depends_on: z.record(z.string(), z.looseObject({ condition: z.string().optional() })).optional(),
  ports: z
    .array(
      z.looseObject({
        target: z.number().int(),
        published: Amount.optional(),
        protocol: z.enum(['tcp', 'udp']).optional(),
      }),
    )
    .optional(),
  deploy: z.looseObject({ replicas: Count.optional(), resources: Resources.optional() }).optional(),
  scale: Count.optional(),
  // said of how it is begun by hand: it has no say here
  attach: z.boolean().optional(),
  container_name: z.string().optional(),
  profiles: Texts.optional(),
  pull_policy: z.string().optional(),
});
export type StackService = z.infer<typeof StackService>;

const Network = z
  .strictObject({
    name: z.string().optional(),
    driver: z.literal('bridge').optional(),
    internal: z.boolean().optional(),
    attachable: z.boolean().optional(),
    labels: Anything,
    ipam: z.strictObject({}).optional(),
  })
  .nullable();

const Volumes = z
  .strictObject({ name: z.string().optional(), driver: z.literal('local').optional(), labels: Anything })
  .nullable();

const Config = z.strictObject({
  name: z.string().optional(),
  file: z.string().optional(),
  content: z.string().optional(),
});
export type StackConfig = z.infer<typeof Config>;

const Whole = z.looseObject({
  configs: z.record(z.string(), z.unknown()).nullish(),
  services: z.record(z.string(), z.unknown()).nullish(),
  networks: z.record(z.string(), z.unknown()).nullish(),
  volumes: z.record(z.string(), z.unknown()).nullish(),
});

const MOST_SERVICES = 100;

export interface Stack {
  readonly services: ReadonlyMap<string, StackService>;
  /** Those that only lead within the environment. */
  readonly networks: ReadonlyMap<string, { readonly internal: boolean }>;
  readonly volumes: ReadonlySet<string>;
  readonly configs: ReadonlyMap<string, StackConfig>;
}

/**
 * @param project the name that it was written out under: Compose makes it part of names that the file leaves open
 * @throws DeployError `compose.refused`
 */
export function stackOf(written: unknown, project: string): Stack {
  const whole = Whole.parse(written);
  const services = new Map<string, StackService>();
  for (const [name, value] of Object.entries(whole.services ?? {})) services.set(name, serviceOf(name, value));
  if (services.size > MOST_SERVICES) {
    throw refused(
      `more than ${MOST_SERVICES} services`,
      'too many for one environment',
      'Split it into several projects.',
    );
  }
  const networks = new Map<string, { readonly internal: boolean }>();
  for (const [key, value] of Object.entries(whole.networks ?? {})) {
    const network = parsed(Network, value, `networks.${key}`);
    requireOwnName(`networks.${key}`, network?.name, `${project}_${key}`);
    networks.set(key, { internal: network?.internal ?? false });
  }
  const volumes = new Set<string>();
  for (const [key, value] of Object.entries(whole.volumes ?? {})) {
    requireOwnName(`volumes.${key}`, parsed(Volumes, value, `volumes.${key}`)?.name, `${project}_${key}`);
    volumes.add(key);
  }
  const configs = new Map(
    Object.entries(whole.configs ?? {}).map(([key, value]) => [key, parsed(Config, value, `configs.${key}`)]),
  );
  return { services, networks, volumes, configs };
}

function serviceOf(name: string, value: unknown): StackService {
  const where = `services.${name}`;
  const service = parsed(StackService, value, where);
  checkRights(service, where);
  const option = (service.security_opt ?? []).find((one) => !/^no-new-privileges([:=]true)?$/.test(one));
  if (option !== undefined) throw unknown(`${where}.security_opt: ${option}`);
  return service;
}

/** Refuses rights that not every container has, and labels by which others are found. @throws DeployError `compose.refused` */
export function checkRights(service: Pick<StackService, 'cap_add' | 'labels'>, where: string): void {
  const added = (service.cap_add ?? []).find((right) => !USUAL.has(right.toUpperCase().replace(/^CAP_/, '')));
  if (added !== undefined) throw unknown(`${where}.cap_add: ${added}`);
  const label = Object.keys(service.labels ?? {}).find((one) => /^(dev\.towpath|com\.docker)\./.test(one));
  if (label !== undefined) throw unknown(`${where}.labels: ${label}`);
}

/** @throws DeployError `compose.refused`, which names the first word that is not taken */
export function parsed<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = [where, ...(issue?.path ?? []), ...(issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])];
  throw unknown(path.join('.'));
}

/** A name of its own would be shared with other environments, and with what else runs on the machine. */
export function requireOwnName(where: string, name: string | undefined, own: string): void {
  if (name === undefined || name === own) return;
  throw refused(
    `\`${where}.name\``,
    'which other environments would share',
    'Leave the name out: each environment has its own.',
  );
}
