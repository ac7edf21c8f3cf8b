import { configCommitOf } from '../config/config-store.ts';
import type { House } from './house.ts';

/** Files that rule a check, as the commit has them whose configuration is in force. */
export interface RulingFiles {
  /** What belongs to the question: each path and its object; null where there is none. */
  readonly files: readonly (readonly [path: string, object: string | null])[];
  readonly read: (path: string) => Promise<Buffer | null>;
}

/** So much of a file is read; what is larger is a failure of the look. */
const MOST_BYTES = 8 * 1024 * 1024;

/** Invariant 15: what lets a release pass is read from the default branch, whatever the commit under test says. */
export async function rulingFiles(house: House, repositoryId: string, paths: readonly string[]): Promise<RulingFiles> {
  const commit = await configCommitOf(house.store.db, repositoryId);
  const mirror = await house.mirrorOf(repositoryId);
  if (commit !== null) await mirror.ensure(commit);
  const objects = new Map<string, string | null>();
  for (const path of paths) {
    const entry = commit === null ? null : await mirror.entry(commit, path);
    // neither a link nor a folder
    objects.set(path, entry?.mode === '100644' || entry?.mode === '100755' ? entry.oid : null);
  }
  return {
    files: [...objects],
    read: async (path) => {
      const oid = objects.get(path) ?? null;
      return oid === null ? null : mirror.read(oid, MOST_BYTES);
    },
  };
}
