import { request, type Dispatcher } from 'undici';

import { isRateLimited, retryAfterMs } from '../lib/rate-limit.ts';
import { authorizationOf, type GitCredential } from './credential.ts';
import { GitError } from './git-error.ts';

/** A request to a git server. It changes nothing that a second one would change again, for it may be sent twice. */
export interface GitRequest {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly credential: GitCredential | undefined;
  /** An answer that is longer is not read to its end. */
  readonly maxBytes: number;
  readonly tooLarge: () => GitError;
  readonly dispatcher?: Dispatcher | undefined;
  /**
   * Makes for each answer what tells, piece by piece, whether all that matters has come. What a server says after that is read and
   * thrown away, whatever the signal says then: to hang up would end what it does.
   */
  readonly isWhole?: (() => (piece: Buffer) => boolean) | undefined;
  /** Told of that, where there is more to come: it resolves when it has. */
  readonly onRest?: ((rest: Promise<void>) => void) | undefined;
  /** For all of it. Default: 30 seconds. */
  readonly timeoutMs?: number | undefined;
  /** For what a server says of when to come again. Default: the machine's clock. */
  readonly now?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface GitAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/**
 * Asks over the smart http protocol. It is asked again when a kept connection turns out to be closed by the other side.
 * @see gitprotocol-http(5)
 * @throws GitError `git.unreachable`, `git.timeout`, `git.busy`, `git.denied`, `git.moved`, `git.not-found`, `git.cancelled`: for the answers that another way of asking would not change
 */
export async function askGitServer(href: string, ask: GitRequest): Promise<GitAnswer> {
  const { method, body, dispatcher, timeoutMs = 30_000, signal } = ask;
  const authorization = authorizationOf(ask.credential);
  const timeout = AbortSignal.timeout(timeoutMs);
  const own = new AbortController(); // of what the caller waits for, and of nothing that comes after that
  const stop = (): void => own.abort(signal?.reason);
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted === true) stop();
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await request(href, {
        method,
        headers: {
          ...ask.headers,
          'user-agent': 'git/towpath',
          ...(authorization === undefined ? {} : { authorization }),
        },
        ...(body === undefined ? {} : { body }),
        ...(dispatcher === undefined ? {} : { dispatcher }),
        headersTimeout: 0, // the signal ends it
        signal: AbortSignal.any([own.signal, timeout]),
      });
      const answer = { status: response.statusCode, headers: response.headers, body: await read(response.body, ask) };
      refuse(answer, ask.now ?? Date.now());
      signal?.removeEventListener('abort', stop);
      return answer;
    } catch (error) {
      if (error instanceof GitError) throw error;
      if (signal?.aborted === true) throw cancelled(error);
      if (timeout.aborted) throw timedOut(href, timeoutMs);
      if (attempt > 1 || !isClosedSocket(error)) throw unreachable(href, error);
    }
  }
}

/** Ends when the answer does, or when all that matters has come. */
async function read(
  stream: AsyncIterable<unknown>,
  { maxBytes, tooLarge, isWhole, onRest }: GitRequest,
): Promise<Buffer> {
  const parts = stream[Symbol.asyncIterator]();
  const areAll = isWhole?.();
  const chunks: Buffer[] = [];
  let size = 0;
  for (let part = await parts.next(); part.done !== true; part = await parts.next()) {
    const bytes = Buffer.from(part.value as Uint8Array);
    size += bytes.length;
    if (size > maxBytes) {
      await parts.return?.();
      throw tooLarge();
    }
    chunks.push(bytes);
    if (areAll?.(bytes) !== true) continue;
    const rest = readOver(parts).catch(() => undefined); // how it ends is of no account
    onRest?.(rest);
    break;
  }
  return Buffer.concat(chunks);
}

/** To hang up would end what the server does. */
async function readOver(parts: AsyncIterator<unknown>): Promise<void> {
  while ((await parts.next()).done !== true);
}

function refuse({ status, headers }: GitAnswer, now: number): void {
  if (isRateLimited(status, headers) || status === 503) throw busy(status, retryAfterMs(headers, now), now);
  if (status >= 300 && status < 400) throw moved(headers['location']);
  if (status === 401 || status === 403) throw denied(status);
  if (status === 404) throw notFound();
  if (status >= 500) throw serverFailed(status);
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
    fix: 'Check the credential of this repository: it may be missing, expired, or not allowed to do this.',
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

function timedOut(href: string, timeoutMs: number): GitError {
  return new GitError({
    code: 'git.timeout',
    what: `The git server at ${hostOf(href)} took longer than ${timeoutMs / 1000} s to answer.`,
    fix: 'Look at the git server, and at its hooks when something was pushed; Towpath tries again by itself.',
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
    {
      code: 'git.cancelled',
      what: 'What was asked of the git server was cancelled.',
      fix: 'Nothing is half-done; ask again when wanted.',
    },
    { cause },
  );
}
