import { request, type Dispatcher } from 'undici';

import { sha256Hex } from '../lib/digest.ts';
import { isRateLimited, retryAfterMs } from '../lib/rate-limit.ts';
import { authorizationOf } from './credential.ts';
import { git } from './git.ts';
import { GitError } from './git-error.ts';
import { encodeRequest } from './pkt-line.ts';
import { parseListing, readListing, tooManyRefs } from './ref-listing.ts';
import { BRANCH_PREFIX, type GitRef } from './ref.ts';
import { parseRemoteUrl, type Remote, type RemoteUrl } from './remote.ts';

/** What a server lists. `hash` stands for the whole answer: two equal hashes, two equal listings. */
export type RefListing =
  | { readonly kind: 'unchanged'; readonly hash: string }
  | {
      readonly kind: 'listed';
      readonly hash: string;
      readonly refs: readonly GitRef[];
      /** The branch that HEAD names, `refs/heads/main`; `null` when it names none that exists. */
      readonly defaultBranch: string | null;
    };

export interface ListOptions {
  /** The hash of the listing that is known: when the server says the same, nothing is parsed. */
  readonly known?: string | undefined;
  /** Keeps connections alive from one poll to the next. Default: the pool of the process. */
  readonly dispatcher?: Dispatcher | undefined;
  readonly timeoutMs?: number | undefined;
  readonly maxRefs?: number | undefined;
  /** Lists heads of pull requests too, whose refs begin so: `refs/pull/`. */
  readonly pulls?: string | undefined;
  /** For what a server says of when to come again. Default: the machine's clock. */
  readonly now?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Lists branches and tags of a repository. Over http(s) it is one POST of protocol v2 on a pooled connection, some 17
 * times the throughput of a process per poll; a server that does not understand it, and ssh, get `git ls-remote`.
 * @throws GitError
 */
export async function listRefs(remote: Remote, options: ListOptions = {}): Promise<RefListing> {
  const url = parseRemoteUrl(remote.url, remote.allow);
  const answer = url.scheme === 'https' || url.scheme === 'http' ? await askServer(url, remote, options) : undefined;
  const lines = answer ?? (await askProgram(url, remote, options));
  const hash = sha256Hex(lines);
  if (hash === options.known) return { kind: 'unchanged', hash };
  return { kind: 'listed', hash, ...parseListing(lines, options) };
}

const MAX_BYTES = 128 * 1024 * 1024;
const ARGUMENTS = ['peel', 'symrefs', 'ref-prefix HEAD', `ref-prefix ${BRANCH_PREFIX}`, 'ref-prefix refs/tags/'];

/** The lines of the answer (`oid name attributes`), or `undefined` when the server does not speak protocol v2 so. */
async function askServer(url: RemoteUrl, remote: Remote, options: ListOptions): Promise<string | undefined> {
  const authorization = authorizationOf(await remote.credential?.());
  const more = options.pulls === undefined ? [] : [`ref-prefix ${options.pulls}`];
  // A server hangs up on the wrong hash function; nearly all repositories are sha1, so that is asked for first.
  for (const format of ['sha1', 'sha256']) {
    const answer = await post(`${url.href}/git-upload-pack`, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-git-upload-pack-request',
        accept: 'application/x-git-upload-pack-result',
        'git-protocol': 'version=2',
        'user-agent': 'git/towpath',
        ...(authorization === undefined ? {} : { authorization }),
      },
      body: encodeRequest(['command=ls-refs', 'agent=towpath', `object-format=${format}`], [...ARGUMENTS, ...more]),
      ...options,
    });
    refuse(answer, options.now ?? Date.now());
    if (answer.status !== 200 || answer.headers['content-type'] !== 'application/x-git-upload-pack-result')
      return undefined;
    const lines = readListing(answer.body);
    if (lines !== undefined) return lines;
  }
  return undefined;
}

/** @throws GitError for the answers that another way of asking would not change */
function refuse({ status, headers }: Answer, now: number): void {
  if (isRateLimited(status, headers) || status === 503) throw busy(status, retryAfterMs(headers, now), now);
  if (status >= 300 && status < 400) throw moved(headers['location']);
  if (status === 401 || status === 403) throw denied(status);
  if (status === 404) throw notFound();
  if (status >= 500) throw serverFailed(status);
}

interface Post {
  readonly method: 'POST';
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly dispatcher?: Dispatcher | undefined;
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
}

/** Listing changes nothing, so it is asked again when a kept connection turns out to be closed by the other side. */
async function post(href: string, { dispatcher, timeoutMs = 30_000, signal, ...init }: Post): Promise<Answer> {
  const timeout = AbortSignal.timeout(timeoutMs);
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await request(href, {
        ...init,
        ...(dispatcher === undefined ? {} : { dispatcher }),
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      });
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of response.body) {
        const bytes = Buffer.from(chunk as Uint8Array);
        size += bytes.length;
        if (size > MAX_BYTES) throw tooManyRefs(`more than ${MAX_BYTES / 1024 / 1024} MiB of`);
        chunks.push(bytes);
      }
      return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
    } catch (error) {
      if (error instanceof GitError) throw error;
      if (signal?.aborted === true) throw cancelled(error);
      if (attempt > 1 || timeout.aborted || !isClosedSocket(error)) throw unreachable(href, error);
    }
  }
}

/** Brings what `git ls-remote` prints into the lines of protocol v2. */
async function askProgram(url: RemoteUrl, remote: Remote, options: ListOptions): Promise<string> {
  const patterns = [
    'HEAD',
    'refs/heads/*',
    'refs/tags/*',
    ...(options.pulls === undefined ? [] : [`${options.pulls}*`]),
  ];
  const { stdout } = await git(['ls-remote', '--quiet', '--symref', '--end-of-options', 'origin', ...patterns], {
    directories: url.scheme === 'file' ? [decodeURIComponent(new URL(url.href).pathname)] : [],
    remote: { url, credential: await remote.credential?.() },
    config: [['remote.origin.url', url.href]],
    maxBytes: MAX_BYTES,
    timeoutMs: options.timeoutMs ?? 60_000,
    signal: options.signal,
  });
  const rows = stdout
    .toString('utf8')
    .split('\n')
    .map((line) => line.split('\t', 2));
  const target = rows.find(([what, name]) => name === 'HEAD' && what?.startsWith('ref: ') === true)?.[0]?.slice(5);
  const peeled = new Map(
    rows.flatMap(([oid = '', name = '']) => (name.endsWith('^{}') ? [[name.slice(0, -3), oid]] : [])),
  );
  return rows
    .filter(([what = '', name = '']) => name !== '' && !name.endsWith('^{}') && !what.startsWith('ref: '))
    .map(([oid, name = '']) => {
      if (name === 'HEAD') return target === undefined ? `${oid} HEAD` : `${oid} HEAD symref-target:${target}`;
      const commit = peeled.get(name);
      return commit === undefined ? `${oid} ${name}` : `${oid} ${name} peeled:${commit}`;
    })
    .join('\n');
}

function isClosedSocket(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}

function hostOf(href: string): string {
  return new URL(href).host;
}

function moved(location: string | string[] | undefined): GitError {
  const target = typeof location === 'string' && URL.canParse(location) ? hostOf(location) : 'another address';
  return new GitError({
    code: 'git.moved',
    what: `The git server sends us to ${target}; Towpath does not follow, since a credential would go along.`,
    fix: 'Set the URL of the repository to its new address.',
  });
}

function denied(status: number): GitError {
  return new GitError({
    code: 'git.denied',
    what: `The git server refused our credential (${status}).`,
    fix: 'Check the credential of this repository: it may be missing, expired, or not allowed to read it.',
  });
}

function notFound(): GitError {
  return new GitError({
    code: 'git.not-found',
    what: 'The git server knows no such repository (404).',
    fix: 'Check the URL and that the credential may read this repository: some servers say 404 for both.',
  });
}

function busy(status: number, waitMs: number | undefined, now: number): GitError {
  const until = waitMs === undefined ? '' : `, and asks to be left alone until ${new Date(now + waitMs).toISOString()}`;
  return new GitError(
    {
      code: 'git.busy',
      what: `The git server has no time for us now (${status})${until}.`,
      fix: 'Towpath tries again by itself, later.',
    },
    { retryAfterMs: waitMs },
  );
}

function serverFailed(status: number): GitError {
  return new GitError({
    code: 'git.unreachable',
    what: `The git server failed (${status}).`,
    fix: 'Look at the git server; Towpath tries again by itself.',
  });
}

function unreachable(href: string, cause: unknown): GitError {
  const why = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
  return new GitError(
    {
      code: 'git.unreachable',
      what: `The git server at ${hostOf(href)} does not answer${why}.`,
      fix: 'Check that the git server can be reached from here; Towpath tries again by itself.',
    },
    { cause },
  );
}

function cancelled(cause: unknown): GitError {
  return new GitError(
    { code: 'git.cancelled', what: 'Listing refs was cancelled.', fix: 'Nothing is half-done; ask again when wanted.' },
    { cause },
  );
}
