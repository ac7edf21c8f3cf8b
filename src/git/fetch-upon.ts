import { GitError } from './git-error.ts';
import type { ObjectFormat } from './pack.ts';
import { decodePackets, encodeRequest } from './pkt-line.ts';
import { parseRemoteUrl, type Remote } from './remote.ts';
import { askGitServer } from './smart-http.ts';

/** What somebody committed upon our own push is small; for more, git is better. */
const MOST_BYTES = 8 * 1024 * 1024;
const [PACK, FATAL] = [1, 3];

/**
 * The pack with what a commit has that another has not. The fetch of `git fetch`, for who has the other in memory: git would say
 * what is on the disk, and bring all that was pushed since once more. Over http(s) alone.
 * @see gitprotocol-v2(5), "fetch"
 * @returns null where it cannot be had so
 * @throws GitError as of `askGitServer`
 */
export async function fetchUpon(
  remote: Remote,
  format: ObjectFormat,
  { want, have }: { readonly want: string; readonly have: string },
  signal?: AbortSignal,
): Promise<Buffer | null> {
  const url = parseRemoteUrl(remote.url, remote.allow);
  if (url.scheme !== 'https' && url.scheme !== 'http') return null;
  const tooLarge = new GitError({
    code: 'git.too-large',
    what: 'It is much that was committed.',
    fix: 'Let git fetch it.',
  });
  try {
    const { status, body } = await askGitServer(`${url.href}/git-upload-pack`, {
      method: 'POST',
      credential: await remote.credential?.(),
      headers: {
        'content-type': 'application/x-git-upload-pack-request',
        accept: 'application/x-git-upload-pack-result',
        'git-protocol': 'version=2',
      },
      body: encodeRequest(
        ['command=fetch', 'agent=towpath', `object-format=${format}`],
        ['no-progress', `want ${want}`, `have ${have}`, 'done'],
      ),
      maxBytes: MOST_BYTES,
      tooLarge: () => tooLarge,
      signal,
    });
    return status === 200 ? packIn(body) : null;
  } catch (error) {
    if (error === tooLarge) return null;
    throw error;
  }
}

/** Of the section `packfile`, which comes last; null where there is none, or the server gave up in the midst of it. */
export function packIn(answer: Buffer): Buffer | null {
  const pack: Buffer[] = [];
  let isPack = false;
  for (const packet of decodePackets(answer)) {
    if (packet.kind !== 'data') continue;
    if (!isPack) isPack = packet.bytes.toString('latin1').trimEnd() === 'packfile';
    else if (packet.bytes[0] === FATAL) return null;
    else if (packet.bytes[0] === PACK) pack.push(packet.bytes.subarray(1));
  }
  return pack.length === 0 ? null : Buffer.concat(pack);
}
