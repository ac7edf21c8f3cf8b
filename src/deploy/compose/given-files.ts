import { posix } from 'node:path';

import type { SourceFiles } from '../driver.ts';
import { noFile, refused } from './compose-error.ts';
import { inside } from './read-files.ts';
import type { Stack, StackService } from './stack.ts';

/** Service -> absolute path in its containers -> what is put there before they start. */
export type GivenFiles = ReadonlyMap<string, ReadonlyMap<string, Buffer>>;

const MOST_FILES = 500;
const MOST_BYTES = 16 * 1024 * 1024;

/**
 * The files of the repository that services mount, and their `configs`. They are copied into each container: nothing of the machine
 * is mounted, and what a program writes there goes with the container.
 * @param release the services of the release: a folder on top of a tested image would make another program of it
 * @throws DeployError `compose.refused`, `compose.file-missing`
 */
export async function givenFiles(
  source: SourceFiles,
  file: string,
  stack: Stack,
  release: ReadonlySet<string>,
): Promise<GivenFiles> {
  const folder = posix.dirname(file);
  const left = { files: MOST_FILES, bytes: MOST_BYTES };
  const given = new Map<string, ReadonlyMap<string, Buffer>>();
  for (const [name, service] of stack.services) {
    const files = new Map<string, Buffer>();
    const give = (target: string, bytes: Uint8Array): void => {
      if (!posix.isAbsolute(target) || target.split('/').includes('..')) {
        throw refused(`a file of "${name}" at ${JSON.stringify(target)}`, 'which is no absolute path', 'Correct it.');
      }
      left.bytes -= bytes.length;
      if (--left.files < 0 || left.bytes < 0) throw tooMuch(name);
      files.set(posix.normalize(target), Buffer.from(bytes));
    };
    for (const volume of service.volumes ?? []) {
      if (volume.type !== 'bind') continue;
      const path = inside(folder, volume.source, `services.${name}.volumes:`);
      const bytes = await source.file(path, MOST_BYTES);
      if (bytes !== null) {
        give(volume.target, bytes);
        continue;
      }
      const below = await source.list(path === '.' ? '' : path);
      if (below.length === 0) throw noFile(path);
      if (release.has(name)) throw folderOnImage(name, volume.source);
      if (below.length > left.files) throw tooMuch(name);
      for (const one of below) {
        const held = await source.file(path === '.' ? one : `${path}/${one}`, MOST_BYTES);
        if (held !== null) give(posix.join(volume.target, one), held);
      }
    }
    for (const { source: key, target = `/${key}` } of service.configs ?? []) {
      const config = stack.configs.get(key);
      const path = config?.file === undefined ? null : inside(folder, config.file, `configs.${key}:`);
      const bytes = path === null ? Buffer.from(config?.content ?? '') : await source.file(path, MOST_BYTES);
      if (bytes === null) throw noFile(path ?? key);
      give(target, bytes);
    }
    if (files.size > 0) given.set(name, files);
    requireWritable(name, service, files.size);
  }
  return given;
}

function requireWritable(name: string, service: StackService, count: number): void {
  if (service.read_only !== true || count === 0) return;
  throw refused(
    `files for "${name}", which is \`read_only\``,
    'and files are copied into containers, which the engine does not do then',
    'Take `read_only` away, or put the files into its image.',
  );
}

function folderOnImage(name: string, folder: string): Error {
  return refused(
    `${JSON.stringify(folder)} mounted over the image of "${name}"`,
    'which would run something else than what was tested',
    'Put the mount into a second compose file for development alone, and do not name that one in towpath.yaml.',
  );
}

function tooMuch(name: string): Error {
  return refused(
    `more files for "${name}" and the others than Towpath copies`,
    `at most ${MOST_FILES} with ${MOST_BYTES / 1024 / 1024} MB`,
    'Put them into an image, or into a volume.',
  );
}
