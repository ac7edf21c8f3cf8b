import { setTimeout as pause } from 'node:timers/promises';

import { hasCode } from '../lib/error.ts';
import type { ConfigEntry } from './environment.ts';
import { withFileLock } from './file-lock.ts';
import { git } from './git.ts';
import { GitError } from './git-error.ts';
import { createMirrorFolder, exists, packsOf, sweepLeftovers, type MirrorFolder } from './mirror-folder.ts';
import { parseRemoteUrl, type Remote } from './remote.ts';

export interface MirrorFetch {
  /** Makes the refs of the mirror those of the server. Several processes may ask at once: they take turns. */
  refs(signal?: AbortSignal): Promise<void>;
  /** Brings blobs by their ids in one request. @throws GitError `git.object-missing` */
  objects(oids: readonly string[], signal?: AbortSignal): Promise<void>;
  /** Brings one commit and what it stands on, whether or not a ref leads to it. @throws GitError `git.object-missing` */
  commit(sha: string, signal?: AbortSignal): Promise<void>;
  /** Packs anew when many small packs have gathered. Nothing that was ever fetched is thrown away. */
  maintain(signal?: AbortSignal): Promise<void>;
}

export interface MirrorLimits {
  /** A fetch may take so long in all. Default: 15 minutes (the first one brings the whole history). */
  readonly fetchTimeoutMs?: number | undefined;
  /** Fetching stops when the packs weigh more. Default: 20 GiB. */
  readonly maxBytes?: number | undefined;
  /** So many packs are packed together. Default: 50. */
  readonly packsBeforeRepack?: number | undefined;
}

const QUIET = ['--quiet', '--no-tags', '--no-write-fetch-head', '--no-auto-maintenance'] as const;

/** The network side of a mirror: the only place where a credential is in the environment of a git process. */
export function createMirrorFetch(remote: Remote, folder: MirrorFolder, limits: MirrorLimits = {}): MirrorFetch {
  const { fetchTimeoutMs = 900_000, maxBytes = 20 * 1024 ** 3, packsBeforeRepack = 50 } = limits;
  const url = parseRemoteUrl(remote.url, remote.allow);
  // By configuration and not by argument: no name that came from outside stands where git looks for options.
  const config: readonly ConfigEntry[] = [
    ['remote.origin.url', url.href],
    ['remote.origin.promisor', 'true'],
    ['remote.origin.partialCloneFilter', 'blob:none'],
    ['fetch.writeCommitGraph', 'true'],
    ['fetch.showForcedUpdates', 'false'],
  ];
  const options = async (signal: AbortSignal | undefined) => ({
    gitDir: folder.store,
    directories: [folder.store, folder.store.replace(/\.git$/, ''), remoteDirectory(url.href)],
    remote: { url, credential: await remote.credential?.() },
    config,
    timeoutMs: fetchTimeoutMs,
    signal,
  });

  const objectFormat = async (signal: AbortSignal | undefined): Promise<'sha1' | 'sha256'> => {
    const place = { ...(await options(signal)), gitDir: undefined }; // it is not there yet
    const { stdout } = await git(['ls-remote', '--quiet', '--end-of-options', 'origin', 'HEAD', 'refs/heads/*'], place);
    return /^[0-9a-f]{64}\t/.test(stdout.subarray(0, 65).toString('latin1')) ? 'sha256' : 'sha1';
  };

  const ensureFolder = async (signal: AbortSignal | undefined): Promise<boolean> => {
    if ((await exists(folder.store)) && (await exists(folder.view))) return false;
    await createMirrorFolder(folder, await objectFormat(signal));
    return true;
  };

  /** A process whose parent was killed may still be at work on the refs, and one that was cut off leaves its locks. */
  const fetchRefs = async (signal: AbortSignal | undefined): Promise<void> => {
    const args = ['fetch', ...QUIET, '--prune', '--force', '--filter=blob:none'] as const;
    for (let attempt = 1; ; attempt++) {
      try {
        await git([...args, 'origin', '+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*'], await options(signal));
        return;
      } catch (error) {
        if (!hasCode(error, 'git.locked') || attempt === 5) throw error;
        await sweepLeftovers(folder, Date.now());
        await pause(100 * 2 ** attempt);
      }
    }
  };

  return {
    refs: (signal) =>
      withFileLock(
        folder.lock,
        async () => {
          const isNew = await ensureFolder(signal);
          const { bytes } = await packsOf(folder);
          if (bytes > maxBytes) throw tooLarge(bytes, maxBytes);
          await fetchRefs(signal);
          if (isNew) await git(['pack-refs', '--all'], { gitDir: folder.store, directories: [folder.store] });
        },
        { signal },
      ),
    objects: async (oids, signal) => {
      await git(['fetch', ...QUIET, '--filter=blob:none', '--stdin', 'origin'], {
        ...(await options(signal)),
        config: [...config, ['fetch.negotiationAlgorithm', 'noop'], ['fetch.writeCommitGraph', 'false']],
        input: `${oids.join('\n')}\n`,
      });
    },
    commit: async (sha, signal) => {
      await git(['fetch', ...QUIET, '--filter=blob:none', '--stdin', 'origin'], {
        ...(await options(signal)),
        input: `${sha}\n`,
      });
    },
    maintain: (signal) =>
      withFileLock(
        folder.lock,
        async () => {
          await sweepLeftovers(folder, Date.now());
          const packs = await packsOf(folder);
          if (packs.count < packsBeforeRepack || !packs.allFromServer) return;
          const place = {
            gitDir: folder.store,
            directories: [folder.store],
            config,
            timeoutMs: fetchTimeoutMs,
            signal,
          };
          await git(['pack-refs', '--all'], place);
          await git(['repack', '-a', '-d', '-q'], place);
        },
        { signal },
      ),
  };
}

/** A repository of this machine (`file://`, where allowed) is opened by git as well. */
function remoteDirectory(href: string): string {
  return href.startsWith('file://') ? decodeURIComponent(new URL(href).pathname) : '/nonexistent';
}

function tooLarge(bytes: number, maxBytes: number): GitError {
  const gib = (value: number): string => (value / 1024 ** 3).toFixed(1);
  return new GitError({
    code: 'git.too-large',
    what: `The mirror of the repository has ${gib(bytes)} GiB; at most ${gib(maxBytes)} GiB are kept.`,
    fix: 'Raise the limit, or move large files out of the history of the repository.',
  });
}
