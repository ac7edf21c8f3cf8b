import { constants } from 'node:fs';
import { open, opendir, realpath } from 'node:fs/promises';
import { join } from 'node:path';

import type { LogLine } from '../../../lib/log.ts';
import { type FileKeeper, KEPT, type KeptFile, type KeptFiles, planKept, rootsOfKept } from '../../kept-files.ts';

interface Found {
  readonly path: string;
  readonly size: number;
}

/**
 * Keeps what the program has written and was asked to keep. Nothing there is trusted: links are not followed, pipes are not
 * waited for, and a file is read as the one that was looked at or not at all. What cannot be kept is no reason to lose the answer.
 */
export async function keepFiles(folder: string, keeper: FileKeeper, log: LogLine): Promise<KeptFiles | undefined> {
  if (keeper.patterns.length === 0) return undefined;
  const look: Look = { root: await realpath(folder), left: KEPT.looked, found: [], odd: 0 };
  for (const root of rootsOfKept(keeper.patterns)) await walk(look, root);
  const { keep, leftOut } = planKept(keeper.patterns, look.found);
  const files: KeptFile[] = [];
  for (const { path, size } of keep) {
    const bytes = await readInside(look.root, path, size);
    if (bytes === null) look.odd += 1;
    else files.push({ path, digest: await keeper.store(bytes), size: bytes.length });
  }
  const lost = leftOut + look.odd;
  if (files.length > 0) log(`kept ${files.length} ${files.length === 1 ? 'file' : 'files'} for people to see`);
  if (lost > 0) log(`not kept: ${lost}, being too large, too many, or no plain files`);
  return { files, leftOut: lost };
}

interface Look {
  readonly root: string;
  /** How many entries are still looked at. */
  left: number;
  readonly found: Found[];
  /** Links, pipes and others, and what was not looked at. */
  odd: number;
}

async function walk(look: Look, path: string): Promise<void> {
  const real = await realpath(join(look.root, path)).catch(() => null);
  if (real !== join(look.root, path)) return void (look.odd += 1); // the program has put a link in its place
  const folder = await opendir(real).catch(() => null);
  if (folder === null) return void (look.odd += 1);
  for await (const entry of folder) {
    const below = `${path}/${entry.name}`;
    if (look.left-- <= 0) return void (look.odd += 1);
    if (entry.isDirectory()) await walk(look, below);
    else if (!entry.isFile()) look.odd += 1;
    else {
      const size = await sizeOf(look.root, below);
      if (size === null) look.odd += 1;
      else look.found.push({ path: below, size });
    }
  }
}

async function sizeOf(root: string, path: string): Promise<number | null> {
  return opened(root, path, async (handle) => {
    const found = await handle.stat();
    return found.isFile() ? found.size : null;
  });
}

async function readInside(root: string, path: string, size: number): Promise<Buffer | null> {
  return opened(root, path, async (handle) => {
    const found = await handle.stat();
    return found.isFile() && found.size === size ? handle.readFile() : null;
  });
}

async function opened<Value>(
  root: string,
  path: string,
  use: (handle: Awaited<ReturnType<typeof open>>) => Promise<Value | null>,
): Promise<Value | null> {
  try {
    const real = await realpath(join(root, path));
    if (real !== join(root, path)) return null;
    const handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      return await use(handle);
    } finally {
      await handle.close();
    }
  } catch {
    return null;
  }
}
