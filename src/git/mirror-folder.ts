import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { git } from './git.ts';

/**
 * A mirror is two bare repositories. `store.git` talks to the server: it holds the objects, the refs, and the settings
 * that let git fetch missing objects. `view.git` borrows the objects of the first and knows no server: all reading
 * goes through it, so reading can never reach the network, and an object that is missing is simply missing.
 */
export interface MirrorFolder {
  readonly store: string;
  readonly view: string;
  readonly lock: string;
}

export function mirrorFolder(directory: string): MirrorFolder {
  return { store: join(directory, 'store.git'), view: join(directory, 'view.git'), lock: join(directory, 'lock') };
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Makes both repositories whole or not at all. Call it under the lock. */
export async function createMirrorFolder(folder: MirrorFolder, objectFormat: 'sha1' | 'sha256'): Promise<void> {
  for (const target of [folder.store, folder.view]) {
    if (await exists(target)) continue;
    const draft = `${target}.new`;
    await rm(draft, { recursive: true, force: true });
    await mkdir(draft, { recursive: true });
    const init = ['init', '--quiet', '--bare', '--template=', `--object-format=${objectFormat}`] as const;
    await git([...init, '--end-of-options', draft], { directories: [draft] });
    if (target === folder.view) await writeFile(join(draft, 'objects/info/alternates'), '../../store.git/objects\n');
    await rename(draft, target);
  }
}

export interface Packs {
  readonly count: number;
  readonly bytes: number;
  /** Git keeps every object of a pack that a server promised (`.promisor`), reachable or not, when it packs anew. */
  readonly allFromServer: boolean;
}

/** What the packs of a mirror weigh; their number grows by one with each fetch until `maintain`. */
export async function packsOf(folder: MirrorFolder): Promise<Packs> {
  const directory = join(folder.store, 'objects/pack');
  const files = new Set(await readdir(directory).catch(() => []));
  const packs = [...files].filter((file) => file.endsWith('.pack'));
  const sizes = await Promise.all(
    packs.map((file) =>
      stat(join(directory, file)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return {
    count: packs.length,
    bytes: sizes.reduce((sum, size) => sum + size, 0),
    allFromServer: packs.every((file) => files.has(file.replace(/\.pack$/, '.promisor'))),
  };
}

/**
 * Removes what a git process left behind that had no time to clean up (a power cut, a killed machine): lock files,
 * which would stop every later fetch, and half-received packs. Git itself holds a lock for moments. Call it under the lock.
 */
export async function sweepLeftovers(folder: MirrorFolder, now: number): Promise<void> {
  const files = await readdir(folder.store, { recursive: true });
  for (const file of files) {
    const ageMs = file.endsWith('.lock') ? LOCK_AGE_MS : /(?:^|\/)tmp_[^/]*$/.test(file) ? DRAFT_AGE_MS : undefined;
    if (ageMs === undefined) continue;
    const path = join(folder.store, file);
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile() === true && now - found.mtimeMs > ageMs) await rm(path, { force: true });
  }
}

const LOCK_AGE_MS = 60_000;
const DRAFT_AGE_MS = 86_400_000;
