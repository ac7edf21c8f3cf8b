import { request, type Dispatcher } from 'undici';

import { cleanMessage } from '../../git/git-error.ts';
import type { Clock } from '../../lib/clock.ts';
import { readUpTo } from '../../lib/read-up-to.ts';
import { redact } from '../../secret/redact.ts';
import { type AnswerHeaders, isRateLimited, retryAfterMs } from '../../lib/rate-limit.ts';
import { HostError } from './host-error.ts';

export interface HostRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

export interface HostAnswer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  /** Parsed JSON of unknown shape; null when the answer has no body. */
  readonly body: unknown;
}

export interface HostClient {
  /**
   * One request to a host's API. While a host wants to be left alone, it is not asked.
   * @param title of the host, for people
   * @param whom whose limit it is: one credential's refusals are no other's
   * @throws HostError for everything but a 2xx
   */
  send(request: HostRequest, title: string, whom: string): Promise<HostAnswer>;
}

const MAX_BYTES = 8 * 1024 * 1024;
const TIMEOUT_MS = 20_000;
/** What to wait when a host says only that it was asked too often; GitHub wants at least a minute. */
const PAUSE_MS = 60_000;

/** @param dispatcher keeps connections alive; default: the pool of the process */
export function createHostClient(clock: Clock, dispatcher?: Dispatcher): HostClient {
  /** Origin and credential -> when it may be asked again, by `elapsed`. */
  const quietUntil = new Map<string, number>();

  return {
    send: async (wanted, title, whom) => {
      const key = `${new URL(wanted.url).origin} ${whom}`;
      const leftMs = (quietUntil.get(key) ?? 0) - clock.elapsed();
      if (leftMs > 0) throw busy(title, clock.now() + leftMs, leftMs);
      quietUntil.delete(key);
      const { status, headers, text } = await exchange(wanted, title, dispatcher);
      if (isRateLimited(status, headers) || (status === 403 && /rate limit/i.test(text))) {
        const waitMs = retryAfterMs(headers, clock.now()) ?? PAUSE_MS;
        quietUntil.set(key, clock.elapsed() + waitMs);
        throw busy(title, clock.now() + waitMs, waitMs, status);
      }
      if (status < 200 || status >= 300) throw failureOf(title, status, redact(text, secretsIn(wanted.headers)));
      return { status, headers, body: parse(title, text) };
    },
  };
}

/** A host, or a proxy before it, may repeat what it was sent. */
function secretsIn({ authorization = '' }: Readonly<Record<string, string>>): string[] {
  const [scheme = '', value = ''] = authorization.split(' ');
  if (scheme !== 'Basic') return [value];
  const plain = Buffer.from(value, 'base64').toString('utf8');
  return [value, plain.slice(plain.indexOf(':') + 1)];
}

/** A kept connection that the other side has closed meanwhile is no failure: reading again changes nothing. */
async function exchange(
  { method, url, headers, body, signal }: HostRequest,
  title: string,
  dispatcher: Dispatcher | undefined,
): Promise<{ status: number; headers: AnswerHeaders; text: string }> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await request(url, {
        method,
        headers: {
          'user-agent': 'towpath',
          ...headers,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
        ...(dispatcher === undefined ? {} : { dispatcher }),
      });
      const bytes = await readUpTo(response.body, MAX_BYTES);
      if (bytes === null) throw malformed(title, 'more than 8 MiB');
      return {
        status: response.statusCode,
        headers: response.headers,
        text: bytes.toString('utf8'),
      };
    } catch (error) {
      if (error instanceof HostError) throw error;
      if (attempt > 1 || method !== 'GET' || timeout.aborted || signal?.aborted === true)
        throw unreachable(title, new URL(url).host, error);
    }
  }
}

function parse(title: string, text: string): unknown {
  if (text.trim() === '') return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw malformed(title, 'something that is not JSON');
  }
}

function failureOf(title: string, status: number, text: string): HostError {
  const said = saidIn(text);
  const what = `${title} answered ${status}${said === '' ? '' : `: ${said}`}.`;
  if (status >= 300 && status < 400)
    return new HostError(
      {
        code: 'host.moved',
        what: `${title} sends us elsewhere (${status}); Towpath does not follow, since a token would go along.`,
        fix: 'Set the URL of the repository to its new address.',
      },
      { status },
    );
  if (status === 401 || status === 403)
    return new HostError(
      { code: 'host.denied', what, fix: 'Check the credential of this repository, and what its token may do.' },
      { status },
    );
  if (status === 404)
    return new HostError(
      {
        code: 'host.not-found',
        what,
        fix: 'Check the URL, and that the token may see this repository: 404 means both.',
      },
      { status },
    );
  if (status >= 500)
    return new HostError(
      { code: 'host.unreachable', what, fix: 'Look at the host; Towpath tries again by itself.' },
      { status },
    );
  return new HostError(
    { code: 'host.refused', what, fix: 'Read what the host says; its documentation of this request tells more.' },
    { status },
  );
}

/** What a host says of its refusal, for people: clean, short, one line. */
function saidIn(text: string): string {
  let said: unknown = null;
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null) {
      const { message, error } = body as { message?: unknown; error?: unknown };
      said = message ?? (typeof error === 'object' && error !== null && 'message' in error ? error.message : error);
    }
  } catch {
    return '';
  }
  return typeof said === 'string' ? cleanMessage(said).replace(/\s+/g, ' ').slice(0, 200) : '';
}

function busy(title: string, until: number, waitMs: number, status = 429): HostError {
  return new HostError(
    {
      code: 'host.busy',
      what: `${title} asks to be left alone until ${new Date(until).toISOString()} (${status}).`,
      fix: 'Nothing is to be done: Towpath waits until then. If it comes often, use a token with a higher limit.',
    },
    { retryAfterMs: waitMs, status },
  );
}

function unreachable(title: string, host: string, cause: unknown): HostError {
  const why = cause instanceof Error ? ('code' in cause ? String(cause.code) : cause.name) : 'unknown';
  return new HostError(
    {
      code: 'host.unreachable',
      what: `${title} at ${host} does not answer (${why}).`,
      fix: 'Check that it can be reached from here; Towpath tries again by itself.',
    },
    { cause },
  );
}

function malformed(title: string, what: string): HostError {
  return new HostError({
    code: 'host.malformed',
    what: `${title} answered ${what} where its API was asked.`,
    fix: 'Check with `towpath project list` that the repository is taken for the right kind of host.',
  });
}
