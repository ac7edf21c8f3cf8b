import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { LogLine } from '../../lib/log.ts';
import type { Desired } from '../driver.ts';
import { failed, noSource } from './compose-error.ts';
import { type ComposeConfig, nameIn } from './config.ts';
import type { ComposeProgram } from './program.ts';
import { readComposeFiles } from './read-files.ts';
import { givenFiles, type GivenFiles } from './given-files.ts';
import { type Stack, stackOf } from './stack.ts';
import { yamlOf } from './write-yaml.ts';

const READ_MS = 30_000;

/**
 * What the compose files of the release mean, by Docker Compose itself: it fills in variables (from the environment's `config`),
 * merges files and activates profiles. It works in a folder that holds nothing but what was checked.
 * @throws DeployError `compose.*`
 */
export async function readStack(
  compose: ComposeProgram,
  { config, source, services }: Pick<Desired<ComposeConfig>, 'config' | 'source' | 'services'>,
  project: string,
  { log, signal }: { readonly log: LogLine; readonly signal: AbortSignal },
): Promise<{ readonly stack: Stack; readonly files: GivenFiles }> {
  if (source === undefined) throw noSource();
  const { documents, envFiles } = await readComposeFiles(source, config.file);
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
      ...config.profiles.flatMap((profile) => ['--profile', profile]),
    ];
    const said = await compose([...where, 'config', '--format', 'json', '--no-path-resolution'], {
      doing: `read ${config.file.join(', ')}`,
      directory,
      variables: Object.assign({}, ...services.map(({ env }) => env)) as Record<string, string>,
      timeoutMs: READ_MS,
      log,
      signal,
    });
    const stack = stackOf(jsonOf(said, config.file), project);
    const release = new Set(services.map(({ service }) => nameIn(config, service)));
    return { stack, files: await givenFiles(source, config.file[0] ?? '', stack, release) };
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
