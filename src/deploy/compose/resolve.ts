import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { LogLine } from '../../lib/log.ts';
import type { Desired, DesiredService, SourceFiles } from '../driver.ts';
import { failed, noSource } from './compose-error.ts';
import { type ComposeConfig, nameIn } from './config.ts';
import type { ComposeProgram } from './program.ts';
import { readComposeFiles } from './read-files.ts';
import { givenFiles, type GivenFiles } from './given-files.ts';
import { type Stack, stackOf } from './stack.ts';
import { yamlOf } from './write-yaml.ts';

const READ_MS = 30_000;

interface Reading {
  readonly source: SourceFiles | undefined;
  readonly files: readonly string[];
  readonly profiles: readonly string[];
  readonly services: readonly Pick<DesiredService, 'env'>[];
  /** The compose project that it is read as. */
  readonly project: string;
}

interface Circumstances {
  readonly log: LogLine;
  readonly signal: AbortSignal;
}

/**
 * What the compose files of the release mean, by Docker Compose itself.
 * @throws DeployError `compose.*`
 */
export async function readStack(
  compose: ComposeProgram,
  { config, source, services }: Pick<Desired<ComposeConfig>, 'config' | 'source' | 'services'>,
  project: string,
  circumstances: Circumstances,
): Promise<{ readonly stack: Stack; readonly files: GivenFiles }> {
  if (source === undefined) throw noSource();
  const { file, profiles } = config;
  const written = await writtenOut(compose, { source, files: file, profiles, services, project }, circumstances);
  const stack = stackOf(written, project);
  const release = new Set(services.map(({ service }) => nameIn(config, service)));
  return { stack, files: await givenFiles(source, file[0] ?? '', stack, release) };
}

/**
 * Files of a commit as Docker Compose writes them out: it fills in variables (from the environment's `config`), merges files and
 * activates profiles. It works in a folder that holds nothing but what was checked. What may stand in it is for others to say.
 * @throws DeployError `compose.*`
 */
export async function writtenOut(
  compose: ComposeProgram,
  { source, files, profiles, services, project }: Reading,
  { log, signal }: Circumstances,
): Promise<unknown> {
  if (source === undefined) throw noSource();
  const { documents, envFiles } = await readComposeFiles(source, files);
  const directory = await mkdtemp(join(tmpdir(), 'towpath-compose-'));
  try {
    for (const [index, document] of documents.entries())
      await writeFile(join(directory, `${index}.yaml`), yamlOf(document));
    for (const [name, bytes] of envFiles) await writeFile(join(directory, name), bytes);
    const where = [
      '--project-directory',
      '.',
      '--project-name',
      project,
      ...documents.flatMap((_, index) => ['--file', `${index}.yaml`]),
      ...profiles.flatMap((profile) => ['--profile', profile]),
    ];
    const said = await compose([...where, 'config', '--format', 'json', '--no-path-resolution'], {
      doing: `read ${files.join(', ')}`,
      directory,
      variables: Object.assign({}, ...services.map(({ env }) => env)) as Record<string, string>,
      timeoutMs: READ_MS,
      log,
      signal,
    });
    return jsonOf(said, files);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Each dollar is written twice, so that the output can be read again as a compose file. */
function jsonOf(said: string, files: readonly string[]): unknown {
  try {
    return JSON.parse(said.replaceAll('$$', '$'));
  } catch {
    throw failed(`read ${files.join(', ')}`, 'what it printed is no JSON');
  }
}
