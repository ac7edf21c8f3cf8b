import { hasCode } from '../lib/error.ts';
import { git } from './git.ts';
import { cleanMessage } from './git-error.ts';
import { formatOf } from './pack.ts';
import { parseRemoteUrl, type Remote } from './remote.ts';
import { openSendPack, type SendPack } from './send-pack.ts';

/** What a server said that gave none. */
export const NO_REASON = 'no reason was given';

/** The two ways in which commits come to a server. */
export interface Push {
  /** As the pack that was made; null where that cannot be, and git shall push. */
  direct(oid: string): Promise<SendPack | null>;
  /**
   * What the repository on the disk holds. Null makes a ref, or takes it away.
   * @returns what was said against it; null when the ref is where it should be
   * @throws GitError when the way fails
   */
  byGit(
    change: { readonly ref: string; readonly was: string | null; readonly to: string | null },
    signal: AbortSignal | undefined,
  ): Promise<string | null>;
}

/** @param onRest as of `openSendPack` */
export function createPush(remote: Remote, gitDir: string, onRest: (rest: Promise<void>) => void): Push {
  const url = parseRemoteUrl(remote.url, remote.allow);
  let sender: Promise<SendPack | null> | undefined;
  return {
    // What a server can do is asked once, for pushes of all branches. Of one that does not say, git finds out what is the matter.
    direct: (oid) => {
      sender ??= openSendPack(remote, formatOf(oid), onRest).catch((error: unknown) => {
        sender = undefined;
        if (hasCode(error, 'git.busy', 'git.denied', 'git.cancelled')) throw error; // git would hear the same
        return null;
      });
      return sender;
    },
    byGit: async ({ ref, was, to }, signal) => {
      const lease = `--force-with-lease=${ref}:${was ?? ''}`;
      const { code, stderr, stdout } = await git(
        ['push', '--porcelain', '--no-verify', '--no-thin', lease, 'origin', `${to ?? ''}:${ref}`],
        {
          gitDir,
          directories: [gitDir, ...(url.scheme === 'file' ? [decodeURIComponent(new URL(url.href).pathname)] : [])],
          remote: { url, credential: await remote.credential?.() },
          config: [['remote.origin.url', url.href]],
          okCodes: [0, 1],
          signal,
        },
      );
      return code === 0 ? null : saidOf(stderr, stdout.toString());
    },
  };
}

/** What the server said, then what git made of it. */
function saidOf(stderr: string, porcelain: string): string {
  const lines = cleanMessage(stderr).split('\n');
  const told = lines.flatMap((line) => /^remote:\s*(\S.*)$/.exec(line)?.[1] ?? []);
  const reason = /^!\t\S+\t(.+)$/m.exec(cleanMessage(porcelain))?.[1];
  return [...told, ...(reason === undefined ? [] : [reason])].join(' ').replace(/\s+/g, ' ').slice(0, 500) || NO_REASON;
}
