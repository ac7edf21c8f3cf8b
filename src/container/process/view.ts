import { lstat, readdir, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { pathInRoot } from '../rootfs/root-path.ts';

/** How the files that a program sees are put together, in order. `to` is a path inside, beginning with a slash. */
export type ViewPart =
  | { readonly kind: 'bind'; readonly from: string; readonly to: string; readonly writable: boolean }
  | { readonly kind: 'symlink'; readonly target: string; readonly to: string }
  | { readonly kind: 'tmpfs'; readonly to: string; readonly mode: string; readonly sealed: boolean }
  | { readonly kind: 'proc' | 'dev' | 'folder'; readonly to: string };

export interface ViewMount {
  readonly from: string;
  readonly to: string;
  readonly writable: boolean;
}

/**
 * Lays mounts over an image that is read-only and stays untouched: where a mount point is missing in the image, the
 * folder that lacks it is replaced by an empty one in memory, filled with what the image has there.
 */
export async function planView(rootfs: string, mounts: readonly ViewMount[]): Promise<ViewPart[]> {
  const placed = await Promise.all(
    mounts.map(async (mount) => ({ ...mount, to: `/${await pathInRoot(rootfs, mount.to)}` })),
  );
  const points = [...placed.map(({ to }) => to), '/proc', '/dev', '/tmp'];
  const opened = [...new Set(await Promise.all(points.map((point) => missingIn(rootfs, point))))]
    .filter((folder) => folder !== null)
    .sort((a, b) => a.length - b.length);
  const parts: ViewPart[] = opened.includes('/') ? [] : [{ kind: 'bind', from: rootfs, to: '/', writable: false }];
  for (const folder of opened) parts.push(...(await open(rootfs, folder)));
  // What makes a mount point makes its parents too, but may make them for root alone.
  const parents = new Set((await Promise.all(points.map((point) => missingParents(rootfs, point)))).flat());
  for (const folder of [...parents].sort((a, b) => a.length - b.length)) parts.push({ kind: 'folder', to: folder });
  parts.push({ kind: 'proc', to: '/proc' }, { kind: 'dev', to: '/dev' });
  parts.push({ kind: 'tmpfs', to: '/tmp', mode: '1777', sealed: false });
  const outermostFirst = placed.sort((a, b) => a.to.length - b.to.length);
  return [...parts, ...outermostFirst.map((mount) => ({ kind: 'bind' as const, ...mount }))];
}

/** The folder of the image that lacks the way to `point`; null when the image has the whole of it. */
async function missingIn(rootfs: string, point: string): Promise<string | null> {
  if (await exists(join(rootfs, point))) return null;
  let folder = dirname(point);
  while (folder !== '/' && !(await exists(join(rootfs, folder)))) folder = dirname(folder);
  return folder;
}

async function missingParents(rootfs: string, point: string): Promise<string[]> {
  const missing: string[] = [];
  for (let folder = dirname(point); folder !== '/' && !(await exists(join(rootfs, folder))); folder = dirname(folder)) {
    missing.push(folder);
  }
  return missing;
}

async function open(rootfs: string, folder: string): Promise<ViewPart[]> {
  const parts: ViewPart[] = [{ kind: 'tmpfs', to: folder, mode: '0755', sealed: true }];
  for (const entry of await readdir(join(rootfs, folder), { withFileTypes: true })) {
    const from = join(rootfs, folder, entry.name);
    const to = join(folder, entry.name);
    if (entry.isSymbolicLink()) parts.push({ kind: 'symlink', target: await readlink(from), to });
    else parts.push({ kind: 'bind', from, to, writable: false });
  }
  return parts;
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) !== null;
}
