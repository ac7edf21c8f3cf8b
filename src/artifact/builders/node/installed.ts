import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { LayerItem } from '../../oci/layer.ts';

/** Every `node_modules` below a folder, but for the notes that npm leaves for itself. Links are data. */
export async function installedItems(folder: string, prefix: string): Promise<LayerItem[]> {
  const items: LayerItem[] = [];
  const walk = async (path: string, inside: boolean): Promise<void> => {
    for (const entry of await readdir(join(folder, path), { withFileTypes: true })) {
      const below = path === '' ? entry.name : `${path}/${entry.name}`;
      const place = join(folder, below);
      const counts = inside || entry.name === 'node_modules';
      if (entry.isDirectory()) await walk(below, counts);
      else if (!inside || /(^|\/)node_modules\/\.package-lock\.json$/.test(below)) continue;
      else if (entry.isSymbolicLink())
        items.push({ kind: 'symlink', path: `${prefix}/${below}`, target: await readlink(place) });
      else if (entry.isFile()) {
        const executable = ((await stat(place)).mode & 0o100) !== 0;
        items.push({ kind: 'file', path: `${prefix}/${below}`, executable, read: () => readFile(place) });
      }
    }
  };
  await walk('', false);
  return items;
}
