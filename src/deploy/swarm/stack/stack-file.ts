import { z } from 'zod';

import { Bytes, Cpus, Nanos } from './amounts.ts';

/*
 * What a stack file may say of a service of the release, as `docker compose config --format json` writes it out. What is not in
 * this list is refused by its name: nothing is passed over in silence, as `docker stack deploy` does.
 */

const Text = z.string();
const Texts = z.array(Text);
const Labels = z.record(Text, Text);
const Ratio = z.number().min(0).max(1);
const Count = z.number().int().min(0);
const Order = z.enum(['start-first', 'stop-first']);

const Change = { parallelism: Count, delay: Nanos, monitor: Nanos, max_failure_ratio: Ratio, order: Order };

const Deploy = z.strictObject({
  mode: z.literal('replicated').optional(),
  replicas: z.number().int().min(1).max(1000).optional(),
  endpoint_mode: z.enum(['vip', 'dnsrr']).optional(),
  labels: Labels.optional(),
  // `continue` would call an update done that is not
  update_config: z
    .strictObject({ ...Change, failure_action: z.enum(['rollback', 'pause']) })
    .partial()
    .optional(),
  rollback_config: z
    .strictObject({ ...Change, failure_action: z.enum(['pause', 'continue']) })
    .partial()
    .optional(),
  restart_policy: z
    .strictObject({
      condition: z.enum(['none', 'on-failure', 'any']),
      delay: Nanos,
      max_attempts: Count,
      window: Nanos,
    })
    .partial()
    .optional(),
  placement: z
    .strictObject({
      constraints: Texts,
      preferences: z.array(z.strictObject({ spread: Text })),
      max_replicas_per_node: Count,
    })
    .partial()
    .optional(),
  resources: z
    .strictObject({
      limits: z.strictObject({ cpus: Cpus, memory: Bytes, pids: Count }).partial(),
      reservations: z.strictObject({ cpus: Cpus, memory: Bytes }).partial(),
    })
    .partial()
    .optional(),
});

const Health = z
  .strictObject({
    test: Texts,
    interval: Nanos,
    timeout: Nanos,
    retries: Count,
    start_period: Nanos,
    disable: z.boolean(),
  })
  .partial();

const Anything = z.unknown().optional();

/** Words that say nothing to a Swarm, in files that are for Docker Compose too. That they are left out is told. */
export const LEFT_OUT = ['container_name', 'depends_on', 'expose', 'restart', 'pull_policy'] as const;

export const FileService = z.strictObject({
  image: Text.optional(), // the digest of the release stands for it
  command: Texts.nullish(),
  entrypoint: Texts.nullish(),
  environment: z.record(Text, Text.nullable()).optional(),
  working_dir: Text.optional(),
  user: Text.optional(),
  hostname: Text.optional(),
  labels: Labels.optional(),
  healthcheck: Health.optional(),
  init: z.boolean().optional(),
  tty: z.boolean().optional(),
  stdin_open: z.boolean().optional(),
  read_only: z.boolean().optional(),
  stop_signal: Text.optional(),
  stop_grace_period: Nanos.optional(),
  cap_add: Texts.optional(),
  cap_drop: Texts.optional(),
  ulimits: z
    .record(Text, z.union([z.number().int(), z.strictObject({ soft: z.number(), hard: z.number() })]))
    .optional(),
  dns: Texts.optional(),
  dns_search: Texts.optional(),
  extra_hosts: Texts.optional(),
  logging: z
    .strictObject({ driver: z.enum(['json-file', 'local']).optional(), options: z.record(Text, Text).optional() })
    .optional(),
  networks: z.record(Text, z.strictObject({ aliases: Texts.optional() }).nullable()).optional(),
  secrets: z.array(z.strictObject({ source: Text, target: Text.optional() })).optional(),
  configs: z
    .array(
      z.strictObject({
        source: Text,
        target: Text.optional(),
        uid: Text.optional(),
        gid: Text.optional(),
        mode: z.union([z.number().int(), z.string().regex(/^0?[0-7]{3,4}$/)]).optional(),
      }),
    )
    .optional(),
  ports: z
    .array(
      z.strictObject({
        target: z.number().int(),
        published: z.union([z.number().int(), z.string().regex(/^\d{1,5}$/)]).optional(),
        protocol: z.enum(['tcp', 'udp']).optional(),
        mode: z.enum(['ingress', 'host']).optional(),
      }),
    )
    .optional(),
  deploy: Deploy.optional(),
  ...(Object.fromEntries(LEFT_OUT.map((word) => [word, Anything])) as Record<
    (typeof LEFT_OUT)[number],
    typeof Anything
  >),
});
export type FileService = z.infer<typeof FileService>;

export const FileNetwork = z
  .strictObject({
    name: Text.optional(),
    driver: z.literal('overlay').optional(),
    internal: z.boolean().optional(),
    driver_opts: z.strictObject({ encrypted: Text.optional() }).optional(),
    ipam: z.strictObject({}).optional(),
  })
  .nullable();

export const FileConfig = z.strictObject({
  name: Text.optional(),
  file: Text.optional(),
  content: Text.optional(),
});

/** The file as a whole. `secrets` are those of the environment, whatever it says of them. */
export const FileWhole = z.strictObject({
  name: Text.optional(),
  services: z.record(Text, z.unknown()).nullish(),
  networks: z.record(Text, z.unknown()).nullish(),
  configs: z.record(Text, z.unknown()).nullish(),
  secrets: z.record(Text, z.unknown()).nullish(),
});
