import type { Readable } from 'node:stream';

import { request } from 'undici';
import type { Dispatcher } from 'undici';

import { RegistryError } from '../error.ts';
import type { Authenticator, TokenRequest } from './auth.ts';
import { bytesOf } from './answers.ts';
import { delayBefore, isRetriedStatus } from './retry.ts';
import type { RetryPolicy } from './retry.ts';

/** Requests to one registry: authenticated, retried, redirected with care. */
export interface Transport {
  /** An answer with any status that is not retried (or still is one after all tries). The caller must consume its body. */
  send(request: RegistryRequest): Promise<RegistryResponse>;
  /** Waits as the policy says before a caller's own next try. */
  pause(attempt: number): Promise<void>;
  readonly attempts: number;
}

export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  /** Relative to the registry, or what a `Location` or `Link` of it said. */
  readonly url: string | URL;
  readonly scopes: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | Readable;
  /** `once`: the body is a stream, so the caller tries again by itself. */
  readonly tries?: 'once';
}

export type RegistryResponse = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'> & { readonly url: URL };

/** What connects to a host: registries send us to others, such as token services and stores of blobs. */
export type AgentFor = (url: URL) => Dispatcher;

export interface TransportOptions {
  readonly origin: URL;
  readonly agentFor: AgentFor;
  readonly authenticator: Authenticator;
  readonly retry: RetryPolicy;
}

const MAX_TOKEN_BYTES = 1024 * 1024;
const TIMEOUTS = { headersTimeout: 60_000, bodyTimeout: 60_000 };

export function createTransport({ origin, agentFor, authenticator, retry }: TransportOptions): Transport {
  const isOurs = (url: URL) => url.origin === origin.origin;

  /** One try. Credentials go to the registry itself and nowhere else. */
  async function once(wanted: RegistryRequest, header: string | null): Promise<RegistryResponse> {
    let url = new URL(wanted.url, origin);
    for (let hops = 0; hops < 5; hops++) {
      const authorization = isOurs(url) ? header : null;
      const response = await ask(agentFor, url, {
        method: wanted.method,
        headers: { ...wanted.headers, ...(authorization === null ? {} : { authorization }) },
        body: wanted.body ?? null,
      });
      const next = redirectOf(response, wanted.method, url);
      if (next === null)
        return { statusCode: response.statusCode, headers: response.headers, body: response.body, url };
      await response.body.dump();
      url = next;
    }
    throw untrusted(origin, 'sends us in a circle');
  }

  async function authenticated(wanted: RegistryRequest): Promise<RegistryResponse> {
    const sent = authenticator.header(wanted.scopes);
    const response = await once(wanted, sent);
    // A challenge of another host is none of our registry's: it gets no answer (CVE-2020-15157).
    if (![401, 403].includes(response.statusCode) || !isOurs(response.url)) return response;
    try {
      const challenge = textOf(response.headers['www-authenticate']);
      const known =
        response.statusCode === 403
          ? await authenticator.renew(sent)
          : await authenticator.answer(challenge, wanted.scopes, sent);
      if (!known || wanted.tries === 'once') return response;
    } catch (error) {
      await response.body.dump();
      throw error;
    }
    await response.body.dump();
    return once(wanted, authenticator.header(wanted.scopes));
  }

  return {
    attempts: retry.attempts,
    pause: async (attempt) => retry.wait(delayBefore(attempt, undefined, retry)),
    send: async (wanted) => {
      const attempts = wanted.tries === 'once' ? 1 : retry.attempts;
      for (let attempt = 1; ; attempt++) {
        let retryAfter: string | undefined;
        try {
          const response = await authenticated(wanted);
          if (!isRetriedStatus(response.statusCode) || attempt === attempts) return response;
          retryAfter = textOf(response.headers['retry-after']);
          await response.body.dump();
        } catch (error) {
          if (error instanceof RegistryError) throw error;
          if (attempt === attempts) throw unreachable(origin, error);
        }
        await retry.wait(delayBefore(attempt, retryAfter, retry));
      }
    },
  };
}

/** Asks a token service. It is never redirected: it gets a secret. */
export function tokenAsker(agentFor: AgentFor): (wanted: TokenRequest) => Promise<{ status: number; body: string }> {
  return async ({ url, authorization, form }) => {
    const { statusCode, headers, body } = await ask(agentFor, url, {
      method: form === null ? 'GET' : 'POST',
      headers: {
        ...(authorization === null ? {} : { authorization }),
        ...(form === null ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      body: form === null ? null : form.toString(),
    });
    const bytes = await bytesOf({ statusCode, headers, body, url }, MAX_TOKEN_BYTES);
    return { status: statusCode, body: bytes.toString('utf8') };
  };
}

/** The place that an answer names; null when it names none. @throws RegistryError `registry.untrusted-redirect` */
export function locationOf({ headers, url }: RegistryResponse): URL | null {
  const location = textOf(headers['location']);
  return location === undefined ? null : encrypted(location, url);
}

export function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(', ') : header;
}

function redirectOf({ statusCode, headers }: Dispatcher.ResponseData, method: string, from: URL): URL | null {
  const location = textOf(headers['location']);
  if (![301, 302, 303, 307, 308].includes(statusCode) || location === undefined) return null;
  if (method !== 'GET' && method !== 'HEAD') throw untrusted(from, `redirects a ${method}`);
  return encrypted(location, from);
}

function encrypted(location: string, from: URL): URL {
  if (!URL.canParse(location, from.href)) throw untrusted(from, 'sends us to what is no address');
  const to = new URL(location, from);
  if (to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:')) return to;
  throw untrusted(from, `sends us to ${to.protocol}//${to.host}, which is not encrypted`);
}

function untrusted(from: URL, what: string): RegistryError {
  return new RegistryError({
    code: 'registry.untrusted-redirect',
    what: `${from.host} ${what}.`,
    fix: 'Use the address of the registry that it sends us to, with https.',
  });
}

/** One request on one connection. @throws RegistryError `registry.certificate` */
async function ask(
  agentFor: AgentFor,
  url: URL,
  { headers, ...options }: Pick<Dispatcher.RequestOptions, 'method' | 'body'> & { headers: Record<string, string> },
): Promise<Dispatcher.ResponseData> {
  try {
    const dispatcher = agentFor(url);
    return await request(url, {
      dispatcher,
      headers: { 'user-agent': 'towpath', ...headers },
      ...options,
      ...TIMEOUTS,
    });
  } catch (error) {
    throw isDistrust(error) ? distrusted(url, error) : error;
  }
}

/** The codes by which TLS says that it does not believe a certificate. */
function isDistrust(error: unknown): error is Error & { code: string } {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF|ERR_TLS_CERT)/.test(code);
}

function distrusted(url: URL, cause: Error & { code: string }): RegistryError {
  return new RegistryError(
    {
      code: 'registry.certificate',
      what: `The certificate of ${url.host} is not trusted (${cause.code}).`,
      fix: `Put the certificate of its authority into /etc/docker/certs.d/${url.host}/ca.crt, or name a file with it in NODE_EXTRA_CA_CERTS; then start the server anew.`,
    },
    { cause },
  );
}

/** No answer, or one that broke off, after all tries. */
export function unreachable(origin: URL, cause: unknown): RegistryError {
  const reason = cause instanceof Error ? ('code' in cause ? String(cause.code) : cause.name) : 'unknown';
  return new RegistryError(
    {
      code: 'registry.unreachable',
      what: `The registry ${origin.host} does not answer (${reason}).`,
      fix: 'Check that it runs and that its address is right; the work can be tried again.',
    },
    { cause },
  );
}
