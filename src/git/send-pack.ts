import { cleanMessage, GitError } from './git-error.ts';
import type { ObjectFormat } from './pack.ts';
import { decodePackets, encodeLine, FLUSH, packetsOfPieces } from './pkt-line.ts';
import { parseRemoteUrl, type Remote } from './remote.ts';
import { askGitServer, type GitRequest } from './smart-http.ts';

export interface RefChange {
  readonly ref: string;
  /** Where it is until then; null where it is to be made. Elsewhere, and the server changes nothing. */
  readonly was: string | null;
  readonly to: string;
}

/** Sends objects with a change of one ref. @returns what was said against it; null when the ref is where it should be */
export type SendPack = (change: RefChange, pack: Buffer, signal?: AbortSignal) => Promise<string | null>;

/** What refs a server has, and what a hook says, of which the end is read as well. */
const MOST_LISTED_BYTES = 128 * 1024 * 1024;
const MOST_SAID_BYTES = 16 * 1024 * 1024;
/** A server looks at each object, and then its hooks do. */
const TIMEOUT_MS = 120_000;
const NEEDED = ['report-status', 'side-band-64k'];

/**
 * The push of `git push`, for who has the pack already: git would start four programs here, that list the refs once more and look
 * for what to pack in all folders of the commit. Over http(s) alone.
 * @see gitprotocol-pack(5), "Pushing Data To a Server"
 * @param onRest told of what a server still does after it said how a push ended
 * @returns null where a server does not say that it can do it so: then git shall push
 * @throws GitError as of `askGitServer`, and `git.protocol`
 */
export async function openSendPack(
  remote: Remote,
  format: ObjectFormat,
  onRest?: (rest: Promise<void>) => void,
): Promise<SendPack | null> {
  const url = parseRemoteUrl(remote.url, remote.allow);
  if (url.scheme !== 'https' && url.scheme !== 'http') return null;
  const ask = async (
    path: string,
    more: Pick<GitRequest, 'method' | 'headers' | 'body' | 'maxBytes' | 'isWhole' | 'onRest' | 'timeoutMs' | 'signal'>,
  ) =>
    askGitServer(`${url.href}/${path}`, {
      ...more,
      credential: await remote.credential?.(),
      tooLarge: saysTooMuch,
    });
  const { status, body } = await ask('info/refs?service=git-receive-pack', {
    method: 'GET',
    headers: {},
    maxBytes: MOST_LISTED_BYTES,
  });
  const offered = status === 200 ? capabilitiesIn(body) : null;
  if (offered === null) throw noList(status);
  const isOfFormat = offered.includes(`object-format=${format}`);
  const isAble = NEEDED.every((name) => offered.includes(name)) && !offered.includes('no-thin');
  if (!isAble || (format !== 'sha1' && !isOfFormat)) return null;
  const wished = ['quiet', `object-format=${format}`].filter((name) => offered.includes(name));
  const wanted = [...NEEDED, ...wished, 'agent=towpath'].join(' ');
  return async ({ ref, was, to }, pack, signal) => {
    const command = encodeLine(`${was ?? '0'.repeat(to.length)} ${to} ${ref}\0 ${wanted}`);
    const answer = await ask('git-receive-pack', {
      method: 'POST',
      headers: {
        'content-type': 'application/x-git-receive-pack-request',
        accept: 'application/x-git-receive-pack-result',
      },
      body: Buffer.concat([Buffer.from(command + FLUSH), pack]),
      maxBytes: MOST_SAID_BYTES,
      isWhole: reportEnds, // hooks and housekeeping come after it, and may take long
      timeoutMs: TIMEOUT_MS,
      onRest,
      signal,
    });
    if (answer.status !== 200) throw notTaken(`status ${answer.status}`);
    return readReport(answer.body, ref);
  };
}

/** Of the line of the first ref. A list that is cut off before it says nothing. */
function capabilitiesIn(listing: Buffer): readonly string[] | null {
  for (const packet of decodePackets(listing)) {
    const [, capabilities] = packet.kind === 'data' ? packet.bytes.toString('utf8').split('\0') : [];
    if (capabilities !== undefined) return capabilities.trim().split(' ');
  }
  return null;
}

const [REPORT, PROGRESS, FATAL] = [1, 2, 3];

/** Tells of an answer that comes in pieces whether the report of the push has come to its end. */
export function reportEnds(): (piece: Buffer) => boolean {
  const [outer, inner] = [packetsOfPieces(), packetsOfPieces()];
  let [isOver, isOther] = [false, false];
  return (piece) => {
    if (isOther) return false;
    try {
      for (const packet of outer(piece))
        if (packet.kind === 'data' && packet.bytes[0] === REPORT)
          isOver ||= inner(packet.bytes.subarray(1)).some(({ kind }) => kind === 'flush');
    } catch {
      isOther = true; // no git protocol: it is read to its end
    }
    return isOver;
  };
}

/**
 * What was said against it; null when it was done.
 * @throws GitError `git.protocol` when it does not say how the ref ended, `git.pack-refused` when it could not read the pack
 */
export function readReport(answer: Buffer, ref: string): string | null {
  const report: Buffer[] = [];
  const told: Buffer[] = [];
  // what comes after the report may be cut off anywhere
  for (const packet of reportEnds()(answer) ? packetsOfPieces()(answer) : decodePackets(answer)) {
    if (packet.kind !== 'data') continue;
    const band = packet.bytes[0] ?? 0;
    if (band === REPORT) report.push(packet.bytes.subarray(1));
    else told.push(band === PROGRESS || band === FATAL ? packet.bytes.subarray(1) : packet.bytes);
  }
  const lines = [...decodePackets(Buffer.concat(report))].flatMap((packet) =>
    packet.kind === 'data' ? cleanMessage(packet.bytes.toString('utf8')).trim() : [],
  );
  if (lines.includes(`ok ${ref}`) && lines.includes('unpack ok')) return null;
  const unpacked = lines.find((line) => line.startsWith('unpack ') && line !== 'unpack ok');
  if (unpacked !== undefined) throw notTaken(unpacked.slice(0, 200));
  const words = cleanMessage(Buffer.concat(told).toString('utf8'));
  const why = lines.find((line) => line.startsWith(`ng ${ref} `))?.slice(`ng ${ref} `.length);
  if (why === undefined) throw noReport(words.replace(/\s+/g, ' ').trim().slice(-300));
  return `${words} [remote rejected] (${why})`.replace(/\s+/g, ' ').trim().slice(-500);
}

function noReport(words: string): GitError {
  return new GitError({
    code: 'git.protocol',
    what: `The git server did not say how the push ended${words === '' ? '' : `, but: ${words}`}.`,
    fix: 'Towpath looks where the branch is, and tries again by itself; if it repeats, look at the git server, and at proxies before it.',
  });
}

function noList(status: number): GitError {
  return new GitError({
    code: 'git.protocol',
    what: `The git server did not say what may be pushed to it (${status}).`,
    fix: 'Check that the URL leads to a git repository that takes pushes.',
  });
}

function notTaken(why: string): GitError {
  return new GitError({
    code: 'git.pack-refused',
    what: `The git server did not take the pack: ${why}.`,
    fix: 'Towpath lets git push; if that fails too, look at the git server.',
  });
}

function saysTooMuch(): GitError {
  return new GitError({
    code: 'git.too-large',
    what: 'The git server answered a push with more than Towpath reads.',
    fix: 'Look at the hooks of the repository on the server.',
  });
}
