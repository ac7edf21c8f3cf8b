import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { git } from './git.ts';
import { createObjectReader, type ObjectReader } from './object-reader.ts';
import type { ObjectFormat } from './pack.ts';

/** What a killed process left is swept after so long. */
const LEFT_MS = 86_400_000;

/** Makes a repository of one process, which borrows what a mirror has. */
export async function openPen(gitDir: string, store: string, format: ObjectFormat): Promise<ObjectReader> {
  await mkdir(gitDir, { recursive: true, mode: 0o700 });
  const init = ['init', '--quiet', '--bare', '--template=', `--object-format=${format}`] as const;
  await git([...init, '--end-of-options', gitDir], { directories: [gitDir] });
  await mkdir(join(gitDir, 'objects', 'info'), { recursive: true });
  await writeFile(join(gitDir, 'objects', 'info', 'alternates'), `${join(store, 'objects')}\n`);
  return createObjectReader({ gitDir, directories: [gitDir, store] });
}

/** Of processes that ended without closing theirs. */
export async function sweepPens(pens: string): Promise<void> {
  for (const name of await readdir(pens).catch(() => [])) {
    const found = await stat(join(pens, name)).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > LEFT_MS)
      await rm(join(pens, name), { recursive: true, force: true });
  }
}
