import { join } from 'node:path';

import { type BranchWriter, openBranchWriter } from '../../git/branch-writer.ts';
import type { Remote } from '../../git/remote.ts';
import { sha256Hex } from '../../lib/digest.ts';
import type { ManifestRepository } from './write-request.ts';

export interface ManifestWriters {
  readonly of: (repository: ManifestRepository) => Promise<BranchWriter>;
  close(): Promise<void>;
}

export interface ManifestWritersParts {
  readonly directory: string;
  /** What is allowed here, and with which credential: asked for at each use. */
  readonly remoteOf: (
    url: string,
    access: () => Promise<{ readonly credential: string | null; readonly host: string | null }>,
  ) => Remote;
}

/** Those of this process: each is opened once and kept, with its mirror and the process that reads its objects. */
export function createManifestWriters({ directory, remoteOf }: ManifestWritersParts): ManifestWriters {
  const opened = new Map<string, Promise<BranchWriter>>();
  return {
    of: (repository) => {
      const { url, host, credential } = repository;
      const key = sha256Hex(JSON.stringify([url, host, credential])).slice(0, 32);
      let writer = opened.get(key);
      if (writer === undefined) {
        const remote = remoteOf(url, () => Promise.resolve({ credential, host }));
        writer = openBranchWriter({ ...remote, directory: join(directory, key) });
        opened.set(key, writer);
        writer.catch(() => opened.delete(key));
      }
      return writer;
    },
    close: async () => {
      for (const writer of opened.values()) await writer.then((one) => one.close()).catch(() => undefined);
      opened.clear();
    },
  };
}
