import { join } from 'node:path';

import { type Mirror, openMirror } from '../git/mirror.ts';
import { repositoryAccess } from '../source/access-store.ts';
import type { Store } from '../store/database.ts';
import type { House } from './house.ts';

export interface Mirrors {
  of(repositoryId: string): Promise<Mirror>;
  directoryOf(repositoryId: string): string;
  close(): void;
}

/** The mirrors of this process: each is opened once and kept, with the processes that read its objects. */
export function createMirrors(
  store: Store,
  { directory, remoteOf }: { directory: string; remoteOf: House['remoteOf'] },
): Mirrors {
  const opened = new Map<string, Promise<Mirror>>();
  const directoryOf = (repositoryId: string): string => join(directory, repositoryId);
  return {
    directoryOf,
    of(repositoryId) {
      let mirror = opened.get(repositoryId);
      if (mirror === undefined) {
        mirror = open(store, repositoryId, directoryOf(repositoryId), remoteOf);
        opened.set(repositoryId, mirror);
        mirror.catch(() => opened.delete(repositoryId));
      }
      return mirror;
    },
    close() {
      for (const mirror of opened.values()) void mirror.then((one) => one.close());
      opened.clear();
    },
  };
}

async function open(
  store: Store,
  repositoryId: string,
  directory: string,
  remoteOf: House['remoteOf'],
): Promise<Mirror> {
  const { url } = await repositoryAccess(store.db, repositoryId);
  return openMirror({ ...remoteOf(url, () => repositoryAccess(store.db, repositoryId)), directory });
}
