import { createHmac, timingSafeEqual } from 'node:crypto';

import { z } from 'zod';

import type { Clock } from '../lib/clock.ts';
import type { Principal } from './credential.ts';
import { grantScopes, type Scope } from './repository-scope.ts';

/** The name under which the registry asks for passes, and in which they are made out. */
export const PASS_SERVICE = 'towpath';

/** So long a pass outlives the revocation of its token at most. */
const TTL_MS = 5 * 60_000;

/** Who a pass was made for, and what it opens. */
export interface Pass {
  readonly user: string;
  readonly granted: readonly Scope[];
  /** What was asked for when it was made: a refusal of that is final, and asking for another pass in vain. */
  readonly asked: readonly Scope[];
}

/**
 * Passes of the registry: short-lived, signed, and read without a look at the store, for an image has many parts and each
 * of them is a request. They are JSON Web Tokens (RFC 7519, HS256), as clients of the distribution project expect.
 */
export interface Passes {
  issue(principal: Principal, asked: readonly Scope[]): IssuedPass;
  /** For who needs no token: what anybody on this machine may do. */
  issueAnonymous(asked: readonly Scope[]): IssuedPass;
  /** @returns null when it is none of ours, or has ended */
  read(text: string): Pass | null;
}

export interface IssuedPass {
  readonly pass: string;
  readonly granted: readonly Scope[];
  readonly issuedAtMs: number;
  readonly ttlSeconds: number;
}

const Scopes = z.array(z.object({ repository: z.string(), actions: z.array(z.enum(['pull', 'push', 'delete'])) }));
const Claims = z.object({
  aud: z.literal(PASS_SERVICE),
  sub: z.string(),
  exp: z.number(),
  granted: Scopes,
  asked: Scopes,
});
type Claims = z.infer<typeof Claims>;

const HEADER = encode({ alg: 'HS256', typ: 'JWT' });

/** @param key 32 random bytes that all servers of the installation share */
export function createPasses(key: Buffer, clock: Clock): Passes {
  const signatureOf = (text: string) => createHmac('sha256', key).update(text).digest();

  function issue(user: string, granted: readonly Scope[], asked: readonly Scope[], endsAtMs: number): IssuedPass {
    const now = clock.now();
    const ttlSeconds = Math.floor((Math.min(now + TTL_MS, endsAtMs) - now) / 1000);
    const seconds = Math.floor(now / 1000);
    const claims = { iss: PASS_SERVICE, aud: PASS_SERVICE, sub: user, iat: seconds, exp: seconds + ttlSeconds };
    const text = `${HEADER}.${encode({ ...claims, granted, asked })}`;
    return { pass: `${text}.${signatureOf(text).toString('base64url')}`, granted, issuedAtMs: now, ttlSeconds };
  }

  return {
    issue: (principal, asked) =>
      issue(principal.user, grantScopes(principal, asked), asked, principal.endsAtMs ?? Infinity),
    issueAnonymous: (asked) => {
      const granted = grantScopes({ roles: ['viewer'], projects: null }, asked);
      return issue('anonymous', granted, granted, Infinity); // a push asks again, with a token
    },
    read: (text) => {
      const [header, body, signature, ...more] = text.split('.');
      // The algorithm is ours to say, not the sender's.
      if (header !== HEADER || body === undefined || signature === undefined || more.length > 0) return null;
      const expected = signatureOf(`${header}.${body}`);
      const given = Buffer.from(signature, 'base64url');
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
      const claims = claimsOf(body);
      if (claims === null || clock.now() >= claims.exp * 1000) return null;
      return { user: claims.sub, granted: claims.granted, asked: claims.asked };
    },
  };
}

function claimsOf(body: string): Claims | null {
  const read = Claims.safeParse(JSON.parse(Buffer.from(body, 'base64url').toString('utf8')));
  return read.success ? read.data : null;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
