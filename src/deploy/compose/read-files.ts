import { posix } from 'node:path';

import type { DeployError } from '../deploy-error.ts';
import type { SourceFiles } from '../driver.ts';
import { noFile, refused } from './compose-error.ts';
import { isMap, type Json, type JsonMap, LIMITS, readYaml } from './read-yaml.ts';

/** What is given to Docker Compose: all of it, so that it reads nothing else. */
export interface ComposeFiles {
  /** Later ones stand over earlier ones. */
  readonly documents: readonly JsonMap[];
  /** The name that stands in the documents now -> what the repository has. */
  readonly envFiles: ReadonlyMap<string, Uint8Array>;
}

/** Stands for the image of a service that the compose file builds. */
export const BUILT = 'towpath.invalid/built';

const MOST_ENV_FILES = 50;
const ENV_FILE_BYTES = 256 * 1024;

/**
 * Reads the compose files of a commit, with the `env_file`s that they name. What would let Docker Compose read anything else of
 * this machine or of the network is refused before it sees the file.
 * @throws DeployError `compose.file-missing`, `compose.not-yaml`, `compose.refused`
 */
export async function readComposeFiles(source: SourceFiles, files: readonly string[]): Promise<ComposeFiles> {
  const folder = posix.dirname(files[0] ?? '.');
  const envFiles = new Map<string, Uint8Array>();
  const documents: JsonMap[] = [];
  for (const file of files) {
    const bytes = await source.file(file, LIMITS.bytes);
    if (bytes === null) throw noFile(file);
    documents.push(await documentOf(readYaml(bytes, file), (path) => take(source, folder, path, envFiles)));
  }
  return { documents, envFiles };
}

type Take = (path: string) => Promise<string | null>;

async function documentOf(given: JsonMap, take: Take): Promise<JsonMap> {
  if (given['include'] !== undefined) {
    throw refused('`include`', 'which reads other files', 'Name the files by `file: [a, b]` in towpath.yaml.');
  }
  const { name: _name, version: _version, services, secrets, ...rest } = given;
  const kept = Object.entries(rest).filter(([key]) => !key.startsWith('x-'));
  const made: Record<string, Json> = {};
  for (const [key, service] of Object.entries(isMap(services) ? services : {})) {
    made[key] = isMap(service) ? await serviceOf(key, service, take) : service;
  }
  return {
    ...Object.fromEntries(kept),
    ...(services === undefined ? {} : { services: made }),
    // values come from the environment in towpath.yaml, whatever the file says of where they are
    ...(isMap(secrets)
      ? { secrets: Object.fromEntries(Object.keys(secrets).map((key) => [key, { external: true }])) }
      : {}),
  };
}

async function serviceOf(key: string, service: JsonMap, take: Take): Promise<JsonMap> {
  const { build, develop: _develop, env_file: envFile, ...rest } = service;
  const { extends: base } = rest;
  if (isMap(base) && base['file'] !== undefined) {
    throw refused(
      `\`services.${key}.extends.file\``,
      'which reads other files',
      'Extend a service of the same file, or name both files by `file: [a, b]` in towpath.yaml.',
    );
  }
  for (const name of ['label_file', 'credential_spec', 'provider', 'models']) {
    if (rest[name] !== undefined) throw unknown(`services.${key}.${name}`);
  }
  const taken: Json[] = [];
  for (const one of envFile === undefined ? [] : Array.isArray(envFile) ? envFile : [envFile]) {
    const path = isMap(one) ? one['path'] : one;
    if (typeof path !== 'string') throw unknown(`services.${key}.env_file`);
    const name = await take(path);
    if (name !== null) {
      taken.push({ path: name, ...(isMap(one) && one['format'] !== undefined ? { format: one['format'] } : {}) });
    } else if (!isMap(one) || one['required'] !== false) throw noFile(path);
  }
  return {
    ...Object.fromEntries(Object.entries(rest).filter(([name]) => !name.startsWith('x-'))),
    ...(build === undefined ? {} : { image: BUILT }),
    ...(taken.length === 0 ? {} : { env_file: taken }),
  };
}

/** @returns the name that it has now; null when the repository has no such file */
async function take(
  source: SourceFiles,
  folder: string,
  path: string,
  taken: Map<string, Uint8Array>,
): Promise<string | null> {
  const bytes = await source.file(inside(folder, path, 'the env_file'), ENV_FILE_BYTES);
  if (bytes === null) return null;
  const name = `./${taken.size}.env`;
  if (taken.size === MOST_ENV_FILES) {
    throw refused(`more than ${MOST_ENV_FILES} env_files`, 'too many to read', 'Put what they say into fewer.');
  }
  taken.set(name, bytes);
  return name;
}

/** A path of a compose file, from the root of the repository. @throws DeployError `compose.refused` */
export function inside(folder: string, path: string, what: string): string {
  const whole = posix.normalize(posix.join(folder, path)).replace(/\/$/, '');
  if (!/^[/~]|[$\\\p{Cc}]/u.test(path) && !whole.split('/').includes('..')) return whole;
  throw refused(
    `${what} ${JSON.stringify(path)}`,
    'which is not a path inside the repository',
    'Name what the repository has, without variables; for data of its own give a service a named volume.',
  );
}

/** What Towpath does not know, or does not let a commit ask for. */
export function unknown(where: string): DeployError {
  return refused(
    `\`${where}\``,
    'which reaches out of the environment, or which Towpath does not take',
    'Leave it out, or put it in a second compose file that is not named in towpath.yaml. The guide lists what is taken.',
  );
}
