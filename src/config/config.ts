import { z } from 'zod';

import { type Trust, trustSchema } from '../access/trust.ts';
import { type BuilderFamily, type ServiceDefinition, serviceSchema } from '../artifact/service.ts';
import { type Backing, backingSchema } from '../check/backing.ts';
import { type CheckDefinition, type CheckFamily, checkSchema, withBacking } from '../check/check.ts';
import { type Servers, ServersSchema } from '../check/server.ts';
import type { DriverStatement, Lack } from '../deploy/statement.ts';
import { HOME } from '../environment/place.ts';
import { choiceOf, Duration, Name } from '../lib/fields.ts';
import { type NotifyChannel, notifyChannelSchema } from '../notify/notify-channel.ts';
import { type PathEnvironment, pathEnvironmentSchema } from '../path/path.ts';
import { type YankPolicy, yankSchema } from '../release/yank-policy.ts';
import { CONFIG_FILE } from './config-file.ts';
import { parseConfigDocument } from './document.ts';
import { findingsOf, reportInput } from './issues.ts';
import { findDanglingNames } from './names.ts';
import { ConfigError, formatPath } from './problem.ts';

/** What one towpath.yaml describes, read and normalised: times in milliseconds, defaults filled in, plain JSON. */
export interface ProjectConfig {
  readonly project: string;
  readonly services: Readonly<Record<string, ServiceDefinition<CheckDefinition>>>;
  /** Name -> what checks may have beside them. */
  readonly backing: Readonly<Record<string, Backing>>;
  /** Role -> user names. */
  readonly roles: Readonly<Record<string, readonly string[]>>;
  /** User -> names and addresses under which they commit. */
  readonly users: Readonly<Record<string, readonly string[]>>;
  /** Those beside Towpath that checks ask. */
  readonly servers: Servers;
  /** Name -> whose identity tokens are taken for a report. */
  readonly identities: Readonly<Record<string, Trust>>;
  /** Name -> a channel by which people are told what happens. */
  readonly notify: Readonly<Record<string, NotifyChannel>>;
  /** How often the pins of outside base images are resolved anew; null: only by a person. */
  readonly base: { readonly refreshEveryMs: number | null };
  readonly yank: YankPolicy;
  /** Name -> address of each member: repositories of the project that hold services, and no path. */
  readonly repositories: Readonly<Record<string, { readonly url: string }>>;
  /** The names of the environments in their order: a `jsonb` column does not keep the order of keys. */
  readonly path: readonly string[];
  readonly environments: Readonly<Record<string, PathEnvironment>>;
}

/** The plug-ins of an installation, as far as the configuration must know them. */
export interface Families {
  readonly builders: readonly BuilderFamily[];
  readonly drivers: readonly DriverStatement[];
  readonly checks: readonly CheckFamily[];
}

/**
 * Reads towpath.yaml.
 * @param source bytes of a git blob, or text
 * @throws ConfigError with every problem found, each with its line and column; nothing else, whatever the bytes
 */
export function parseConfig(source: string | Uint8Array, families: Families, file = CONFIG_FILE): ProjectConfig {
  const document = parseConfigDocument(source, file);
  const parsed = schemaFor(families).safeParse(document.value, reportInput);
  const findings = parsed.success
    ? findDanglingNames(parsed.data, thoseWith('jobs', families))
    : findingsOf(parsed.error.issues, document.value);
  const problems = findings
    .map(({ path, at, ...finding }) => ({ ...document.positionOf(path, at), path: formatPath(path), ...finding }))
    .toSorted((one, other) => one.line - other.line || one.column - other.column);
  if (!parsed.success || problems.length > 0) throw new ConfigError(file, problems);
  return parsed.data;
}

/** The drivers that do not say that they lack it. */
function thoseWith(ability: Lack, { drivers }: Families): string[] {
  return drivers.flatMap(({ name, lacks }) => (lacks.includes(ability) ? [] : [name]));
}

const schemas = new WeakMap<Families, ReturnType<typeof configSchema>>();

function schemaFor(families: Families): ReturnType<typeof configSchema> {
  const known = schemas.get(families) ?? configSchema(families);
  schemas.set(families, known);
  return known;
}

/** Each noun's piece, put together; families bring the pieces of their members. */
export function configSchema(families: Families) {
  const { builders, drivers, checks } = families;
  const deploy = choiceOf('driver', Object.fromEntries(drivers.map(({ name, config }) => [name, config])));
  const able = {
    isolation: thoseWith('isolation', families),
    settings: thoseWith('settings', families),
    end: thoseWith('end', families),
  };
  return z
    .strictObject({
      project: Name.describe('The name of the project; images are called <project>/<service>'),
      services: z
        .record(Name, serviceSchema(builders, checkSchema(checks)))
        .refine((services) => Object.keys(services).length > 0, 'at least one service')
        .describe('What is built, each on its own'),
      backing: z.record(Name, backingSchema).default({}).describe('Servers that checks need beside them, by host name'),
      roles: z
        .record(Name, z.array(z.string().min(1, 'the name of a user')))
        .default({})
        .describe('Who may approve: role and its users'),
      users: z
        .record(z.string().min(1, 'the name of a user'), z.array(z.string().min(1, 'a name or an address in git')))
        .default({})
        .describe('Who is who in git: user, and all names and addresses under which they commit'),
      servers: ServersSchema.default({}).describe('Servers that checks ask: only what the default branch says counts'),
      identities: z
        .record(Name, trustSchema)
        .default({})
        .describe('Which jobs of which CIs may report what they built, without a token of ours'),
      repositories: z
        .record(Name, z.strictObject({ url: z.string().min(1, 'the address of a git repository') }))
        .refine((members) => !Object.hasOwn(members, HOME), `another name than "${HOME}", which is this repository`)
        .default({})
        .describe('More repositories of the project: each holds a towpath.yaml with `project` and `services` alone'),
      notify: z
        .record(Name, notifyChannelSchema)
        .default({})
        .describe('Who is told what broke, by whom, and what fixed it: channels by name'),
      base: z
        .strictObject({ refresh: Duration.optional().describe('How often pins of base images are resolved anew') })
        .default({})
        .describe('Outside base images'),
      yank: yankSchema.prefault({}).describe('What becomes of artifacts that only yanked releases have'),
      environments: z
        .record(Name, pathEnvironmentSchema(deploy, able))
        .default({})
        .describe('Where releases run, in the order of the path'),
    })
    .transform(({ base, services, ...rest }): ProjectConfig => ({
      ...rest,
      services: mapped(services, (service) => ({
        ...service,
        checks: mapped(service.checks, (check) => withBacking(check, rest.backing)),
      })),
      base: { refreshEveryMs: base.refresh ?? null },
      path: Object.keys(rest.environments),
    }));
}

function mapped<Of, To>(all: Readonly<Record<string, Of>>, to: (one: Of) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(all).map(([name, one]) => [name, to(one)]));
}
