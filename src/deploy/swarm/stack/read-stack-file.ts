import { posix } from 'node:path';

import { nameIn } from '../../compose/config.ts';
import { noFile, refused, unmapped } from '../../compose/compose-error.ts';
import type { ComposeProgram } from '../../compose/program.ts';
import { inside } from '../../compose/read-files.ts';
import { writtenOut } from '../../compose/resolve.ts';
import { checkRights, parsed, requireOwnName } from '../../compose/stack.ts';
import type { ApplyContext, Desired, DesiredService, SourceFiles } from '../../driver.ts';
import type { SwarmConfig } from '../config.ts';
import { type NetworkWish, PLAIN_NETWORK } from '../network.ts';
import { FileConfig, FileNetwork, FileService, FileWhole, LEFT_OUT } from './stack-file.ts';
import { partOf, serviceWith, type StackPart } from './stack-part.ts';

/** What the stack file of a commit makes of a release. */
export interface Stack {
  /** Those of the release, with what the file decides of them. */
  readonly services: readonly DesiredService[];
  /** Service of the release -> what the file adds to it. */
  readonly parts: ReadonlyMap<string, StackPart>;
  /** As the file calls them; those that a service of the release is in. */
  readonly networks: ReadonlyMap<string, NetworkWish>;
  readonly configs: ReadonlyMap<string, Buffer>;
}

/** What Swarm takes for one config, in bytes. */
const CONFIG_BYTES = 500 * 1024 - 1;

/**
 * The release as the stack file describes it; as towpath.yaml does where it names none.
 * @param project what the file is read as: names that it leaves open begin with it
 * @throws DeployError `compose.*`
 */
export async function readStackFile(
  compose: ComposeProgram,
  desired: Pick<Desired<SwarmConfig>, 'config' | 'services' | 'source'>,
  project: string,
  { log, signal }: Pick<ApplyContext, 'log' | 'signal'>,
): Promise<Stack> {
  const { config, services, source } = desired;
  const files = config.stack;
  if (files === undefined) {
    return { services, parts: new Map(), networks: new Map([['default', PLAIN_NETWORK]]), configs: new Map() };
  }
  const read = { source, files, profiles: [], services, project };
  const whole = parsed(FileWhole, await writtenOut(compose, read, { log, signal }), 'the stack file');
  const listed = new Map(Object.entries(whole.services ?? {}));
  const release = new Map(services.map((service) => [nameIn(config, service.service), service]));
  const foreign = [...listed.keys()].find((name) => !release.has(name) && !config.outside.includes(name));
  if (foreign !== undefined) throw outside(foreign);
  const parts = new Map<string, StackPart>();
  const decided: DesiredService[] = [];
  for (const [name, given] of release) {
    if (!listed.has(name)) throw unmapped(given.service, name);
    const file = parsed(FileService, listed.get(name), `services.${name}`);
    checkRights(file, `services.${name}`);
    checkRights({ labels: file.deploy?.labels }, `services.${name}.deploy`);
    for (const word of LEFT_OUT.filter((one) => file[one] !== undefined && file[one] !== null))
      log(`services.${name}.${word} of the stack file says nothing to a Swarm, and is left out`);
    const service = serviceWith(file, given, config, name);
    decided.push(service);
    parts.set(given.service, partOf(file, service, config, name));
  }
  const used = new Set([...parts.values()].flatMap(({ networks }) => networks.map(({ key }) => key)));
  const networks = new Map<string, NetworkWish>();
  for (const key of used) networks.set(key, networkOf(whole.networks?.[key], key, project));
  const configs = new Map<string, Buffer>();
  const folder = posix.dirname(files[0] ?? '.');
  for (const key of new Set([...parts.values()].flatMap((part) => part.configs.map((one) => one.key))))
    configs.set(key, await configOf(source, folder, whole.configs?.[key], key, project));
  return { services: decided, parts, networks, configs };
}

function networkOf(written: unknown, key: string, project: string): NetworkWish {
  const network = parsed(FileNetwork, written ?? null, `networks.${key}`);
  requireOwnName(`networks.${key}`, network?.name, `${project}_${key}`);
  return {
    internal: network?.internal ?? false,
    encrypted: network?.driver_opts?.encrypted !== undefined,
  };
}

async function configOf(
  source: SourceFiles | undefined,
  folder: string,
  written: unknown,
  key: string,
  project: string,
): Promise<Buffer> {
  const config = parsed(FileConfig, written, `configs.${key}`);
  requireOwnName(`configs.${key}`, config.name, `${project}_${key}`);
  const path = config.file === undefined ? null : inside(folder, config.file, `configs.${key}:`);
  const bytes = path === null ? Buffer.from(config.content ?? '') : await source?.file(path, CONFIG_BYTES);
  if (bytes === null || bytes === undefined) throw noFile(path ?? key);
  if (bytes.length > 0 && bytes.length <= CONFIG_BYTES) return Buffer.from(bytes);
  throw refused(
    `\`configs.${key}\` of ${bytes.length} bytes`,
    `while a Swarm takes from 1 to ${CONFIG_BYTES}`,
    'Put it into the image.',
  );
}

function outside(name: string): Error {
  return refused(
    `the service "${name}"`,
    'which is no service of the release',
    'Deploy it as a stack of its own, and take it out of this file; or name it in `outside`, below `deploy` in towpath.yaml.',
  );
}
