import type { FastifyRequest } from 'fastify';

import { AccessError } from '../access/access-error.ts';
import type { Principal } from '../access/credential.ts';
import type { Guard } from '../access/guard.ts';

export const SESSION_COOKIE = 'towpath_session';

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Who sent this request: a token in `Authorization: Bearer`, else the page's session cookie. A browser adds cookies to
 * requests that other sites make it send, so a write by cookie has to come from our own origin.
 * @throws AccessError `access.foreign-origin`
 */
export async function callerOf(request: FastifyRequest, guard: Guard): Promise<Principal | null> {
  const token = bearerOf(request.headers.authorization);
  if (token !== null) return guard.identify(token, 'token');
  const session = cookieOf(request.headers.cookie, SESSION_COOKIE);
  if (session === null) return null;
  if (!SAFE.has(request.method) && !isOwnOrigin(request)) throw foreignOrigin();
  return guard.identify(session, 'session');
}

/** Lax and not Secure: on a laptop there is no TLS. Behind TLS (`secure`) the cookie never leaves it. */
export function sessionCookie(secret: string, maxAgeSeconds: number, secure: boolean): string {
  const flags = ['Path=/', 'HttpOnly', 'SameSite=Lax', `Max-Age=${maxAgeSeconds}`, ...(secure ? ['Secure'] : [])];
  return [`${SESSION_COOKIE}=${secret}`, ...flags].join('; ');
}

export function isOwnOrigin(request: FastifyRequest): boolean {
  const { origin, host } = request.headers;
  return origin !== undefined && host !== undefined && originHost(origin) === host;
}

export function bearerOf(header: string | undefined): string | null {
  const match = /^Bearer +(\S+)$/i.exec(header ?? '');
  return match?.[1] ?? null;
}

/** What stands in the place of the password; the user's name is not looked at. */
export function basicPasswordOf(header: string | undefined): string | null {
  const encoded = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return null;
  const pair = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon === -1 ? null : pair.slice(colon + 1);
}

function cookieOf(header: string | undefined, name: string): string | null {
  for (const pair of (header ?? '').split(';')) {
    const [key, value] = pair.trim().split('=', 2);
    if (key === name && value !== undefined && value !== '') return value;
  }
  return null;
}

function originHost(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}

function foreignOrigin(): AccessError {
  return new AccessError({
    code: 'access.foreign-origin',
    what: 'A page of another origin tried to change something with your session.',
    fix: 'Use the page that this server serves itself, or a token in the Authorization header.',
  });
}
