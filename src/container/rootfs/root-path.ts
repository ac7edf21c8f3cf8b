import { lstat, readlink } from 'node:fs/promises';
import { join } from 'node:path';

import { ContainerError } from '../container-error.ts';

const MAX_LINKS = 255;

/**
 * Where `path` leads when `root` is taken for `/`: symbolic links are followed inside the root and never out of it,
 * as chroot would. What does not exist is taken as it stands.
 * @param followLast false to get a link itself instead of what it points to
 * @throws ContainerError `container.image-refused` for links that lead in circles
 * @returns the path relative to the root, without a slash at its begin; '' is the root itself
 */
export async function pathInRoot(root: string, path: string, followLast = true): Promise<string> {
  const pending = partsOf(path).reverse();
  const done: string[] = [];
  let links = 0;
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part === '..') {
      done.pop();
      continue;
    }
    const target = !followLast && pending.length === 0 ? null : await linkAt(join(root, ...done, part));
    if (target === null) {
      done.push(part);
      continue;
    }
    if (++links > MAX_LINKS) throw inCircles(path);
    if (target.startsWith('/')) done.length = 0;
    pending.push(...partsOf(target).reverse());
  }
  return done.join('/');
}

function inCircles(path: string): ContainerError {
  return new ContainerError({
    code: 'container.image-refused',
    what: `The symbolic links of the image at ${JSON.stringify(path.slice(0, 200))} lead in circles.`,
    fix: 'Mend them where the image is built, and build it again.',
  });
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

async function linkAt(path: string): Promise<string | null> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : null;
  } catch {
    return null;
  }
}
