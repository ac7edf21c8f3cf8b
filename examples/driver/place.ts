import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Digest, Target } from 'towpath';
import { z } from 'zod';

/** What stands in the file of a service: all that somebody needs who runs it. */
const ServiceFile = z.object({
  service: z.string(),
  host: z.string(),
  image: z.string(),
  digest: z.custom<Digest>((value) => typeof value === 'string' && value.startsWith('sha256:')),
  operation: z.string(),
  replicas: z.number(),
  command: z.array(z.string()).optional(),
  port: z.number().optional(),
});
export type ServiceFile = z.infer<typeof ServiceFile>;

/**
 * The folder of one environment. `releases/` has a folder of files for each release, and the link `current` leads to the one that is
 * meant to run: a link is replaced at one moment, so whoever reads through it sees the old release or the new one, and no mixture.
 */
export function placeOf(root: string, target: Target) {
  // names are data: none of them becomes a path
  const folder = join(root, short([target.project, target.environment, target.slug]));
  const current = join(folder, 'current');
  const releaseOf = (operation: string): string => join('releases', short([operation]));
  return {
    folder,
    /** A file is whole or not there; twice is the same as once. */
    async write(file: ServiceFile): Promise<void> {
      const release = join(folder, releaseOf(file.operation));
      await mkdir(release, { recursive: true });
      await put(join(release, fileName(file.service)), JSON.stringify(file, null, 2));
    },
    /** Leaves in a release what belongs to it, and makes it the one that runs. */
    async switchTo(operation: string, services: readonly string[]): Promise<void> {
      const release = join(folder, releaseOf(operation));
      await mkdir(release, { recursive: true });
      const names = services.map(fileName);
      for (const name of await readdir(release)) if (!names.includes(name)) await rm(join(release, name));
      const fresh = join(folder, `.${randomUUID()}`);
      await symlink(releaseOf(operation), fresh);
      await rename(fresh, current);
    },
    /** Removes every release but the one that runs, and what a kill left half-done. */
    async tidy(): Promise<void> {
      const kept = await readlink(current);
      for (const name of await readdir(join(folder, 'releases')))
        if (join('releases', name) !== kept) await rm(join(folder, 'releases', name), { recursive: true });
      for (const name of await readdir(folder)) if (name.startsWith('.')) await rm(join(folder, name));
    },
    /** What stands there now, whoever wrote it. */
    async read(): Promise<ServiceFile[]> {
      const names = await readdir(current).catch(ifMissing);
      const files = names.filter((name) => name.endsWith('.json')).sort();
      return Promise.all(
        files.map(async (name) => ServiceFile.parse(JSON.parse(await readFile(join(current, name), 'utf8')))),
      );
    },
    remove: (): Promise<void> => rm(folder, { recursive: true, force: true }),
  };
}

function short(words: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(words)).digest('hex').slice(0, 16);
}

export function fileName(service: string): string {
  return `${short([service])}.json`;
}

async function put(path: string, text: string): Promise<void> {
  const fresh = `${path}.${randomUUID()}`;
  await writeFile(fresh, text, { flush: true });
  await rename(fresh, path);
}

function ifMissing(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
