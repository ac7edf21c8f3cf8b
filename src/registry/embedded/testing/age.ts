import { readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';

/** Makes all content of a registry's folder look as if nobody had used it for two days. */
export async function age(directory: string): Promise<void> {
  const then = new Date(Date.now() - 2 * 86_400_000);
  for (const folder of ['blobs', 'repositories', 'limbo']) {
    for (const entry of await readdir(join(directory, folder), { recursive: true, withFileTypes: true }).catch(
      () => [],
    ))
      // swept in the meantime
      if (entry.isFile()) await utimes(join(entry.parentPath, entry.name), then, then).catch(() => undefined);
  }
}

export const A_DAY_AGO = () => Date.now() - 86_400_000;

// oxlint-disable-next-line require-yield
export async function* nothing(): AsyncGenerator<never> {}
