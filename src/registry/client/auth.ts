import { z } from 'zod';

import { RegistryError } from '../error.ts';
import { type Challenge, parseChallenge } from './challenge.ts';
import { isRetriedStatus } from './retry.ts';

/** Who we are to a registry. */
export type Credentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** A refresh token (docker's `identitytoken`), exchanged for access tokens. */
  | { readonly kind: 'identity'; readonly token: string }
  /** An access token that is used as it is (docker's `registrytoken`). */
  | { readonly kind: 'bearer'; readonly token: string };

export interface Authenticator {
  /** The header for a request of these scopes, from what is known already; null when nothing is. */
  header(scopes: readonly string[]): string | null;
  /**
   * Learns from a 401.
   * @param sent the header that was refused: others may have learnt better in the meantime
   * @returns false when asking again would be in vain
   * @throws RegistryError
   */
  answer(challenge: string | undefined, scopes: readonly string[], sent: string | null): Promise<boolean>;
  /**
   * Learns from a 403: a password that has run out is not always told by a challenge (ECR, after twelve hours).
   * @returns true when the credentials are others now
   */
  renew(sent: string | null): Promise<boolean>;
}

export interface AuthenticatorOptions {
  /** Where the registry is: only its own challenges may come here. */
  readonly origin: URL;
  readonly credentials: () => Promise<Credentials | null>;
  /** Hosts of token services on other domains that may get the credentials too. */
  readonly trustedRealms: readonly string[];
  readonly now: () => number;
  readonly ask: (request: TokenRequest) => Promise<{ status: number; body: string }>;
}

export interface TokenRequest {
  readonly url: URL;
  readonly authorization: string | null;
  /** A form to be posted; null for a GET. */
  readonly form: URLSearchParams | null;
}

const TokenReply = z.looseObject({
  token: z.string().optional(),
  access_token: z.string().optional(),
  expires_in: z.number().optional(),
});

/** Basic authentication (RFC 7617) and the token flow of the distribution project (`Bearer realm=...`). */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { origin, now } = options;
  const tokens = new Map<string, { header: string; untilMs: number }>();
  const asking = new Map<string, Promise<boolean>>();
  /** What goes with every request: a password, or a token that was given as it is. */
  let fixed: string | null = null;

  async function fetchToken(
    challenge: Challenge,
    scopes: readonly string[],
    credentials: Credentials | null,
  ): Promise<boolean> {
    const realm = realmOf(challenge, options, credentials !== null);
    const wanted = [...new Set([...scopes, ...(challenge.scope?.split(' ') ?? [])])];
    const reply = await options.ask(tokenRequest(realm, challenge.service, wanted, credentials));
    if (reply.status === 401 || reply.status === 403) return false;
    if (isRetriedStatus(reply.status)) throw new Error(`The token service ${realm.host} answered ${reply.status}.`);
    const read = TokenReply.safeParse(jsonOrNull(reply.body));
    const token = read.success ? (read.data.token ?? read.data.access_token) : undefined;
    if (reply.status !== 200 || token === undefined) {
      throw new RegistryError({
        code: 'registry.failed',
        what: `The token service ${realm.host} answered ${reply.status} and no token.`,
        fix: 'Try again; if it stays so, ask whoever runs the registry.',
      });
    }
    // 60 s is the specification's default; a token is not used in its last tenth.
    const lifetimeMs = (read.data?.expires_in ?? 60) * 1000;
    tokens.set(keyOf(scopes), { header: `Bearer ${token}`, untilMs: now() + lifetimeMs * 0.9 });
    return true;
  }

  return {
    header: (scopes) => {
      if (fixed !== null) return fixed;
      const known = tokens.get(keyOf(scopes));
      return known !== undefined && known.untilMs > now() ? known.header : null;
    },
    answer: async (text, scopes, sent) => {
      const challenge = parseChallenge(text ?? '');
      if (challenge === null) return false;
      const key = keyOf(scopes);
      const known = tokens.get(key);
      if (known !== undefined && known.header !== sent && known.untilMs > now()) return true;
      const credentials = await options.credentials();
      const ready = challenge.scheme === 'basic' ? 'basic' : 'bearer';
      if (credentials?.kind === ready) {
        fixed = headerOf(credentials);
        return fixed !== sent;
      }
      if (challenge.scheme === 'basic') return false;
      tokens.delete(key);
      const running = asking.get(key) ?? fetchToken(challenge, scopes, credentials).finally(() => asking.delete(key));
      asking.set(key, running);
      return running;
    },
    renew: async (sent) => {
      if (fixed === null || fixed !== sent) return fixed !== sent;
      const credentials = await options.credentials();
      if (credentials === null || credentials.kind === 'identity') return false;
      fixed = headerOf(credentials);
      return fixed !== sent;
    },
  };

  function realmOf(challenge: Challenge, { trustedRealms }: AuthenticatorOptions, secret: boolean): URL {
    const realm = URL.canParse(challenge.realm ?? '') ? new URL(challenge.realm ?? '') : null;
    const encrypted = realm?.protocol === 'https:' || (realm?.protocol === 'http:' && origin.protocol === 'http:');
    const ours = realm !== null && (isSameSite(realm, origin) || trustedRealms.includes(realm.host));
    if (realm !== null && encrypted && (ours || !secret)) return realm;
    throw new RegistryError({
      code: 'registry.untrusted-redirect',
      what: `${origin.host} names ${realm?.host ?? 'nothing'} as its token service; the credentials were not sent there.`,
      fix: 'If that service is right, reach it by https and list its host under the trusted token services of the registry.',
    });
  }
}

/**
 * The same host, or two hosts of one domain (`registry.example.org`, `auth.example.org`). Plain http never leaves the
 * host, for then anyone on the way could have written the challenge.
 */
function isSameSite(realm: URL, origin: URL): boolean {
  if (realm.hostname === origin.hostname) return true;
  const site = siteOf(origin.hostname);
  return (
    realm.protocol === 'https:' && origin.protocol === 'https:' && site !== null && site === siteOf(realm.hostname)
  );
}

/** The domain that one owner has: the last two parts of a name, three below a country's `co` and its like. */
function siteOf(hostname: string): string | null {
  if (/^[\d.]+$|^\[/.test(hostname)) return null;
  const parts = hostname.split('.');
  const [second = '', top = ''] = parts.slice(-2);
  const count = top.length === 2 && second.length <= 3 ? 3 : 2;
  return parts.length < count ? null : parts.slice(-count).join('.');
}

function tokenRequest(
  realm: URL,
  service: string | null,
  scopes: readonly string[],
  credentials: Credentials | null,
): TokenRequest {
  if (credentials?.kind === 'identity') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: credentials.token,
      client_id: 'towpath',
    });
    if (service !== null) form.set('service', service);
    form.set('scope', scopes.join(' '));
    return { url: realm, authorization: null, form };
  }
  const url = new URL(realm);
  if (service !== null) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  return { url, authorization: credentials?.kind === 'basic' ? basicHeader(credentials) : null, form: null };
}

function headerOf(credentials: Exclude<Credentials, { kind: 'identity' }>): string {
  return credentials.kind === 'basic' ? basicHeader(credentials) : `Bearer ${credentials.token}`;
}

function basicHeader({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function keyOf(scopes: readonly string[]): string {
  return scopes.join(' ');
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
