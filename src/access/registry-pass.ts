import { webcrypto } from 'node:crypto';

import { errors, jwtVerify, SignJWT } from 'jose';
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
  issue(principal: Principal, asked: readonly Scope[]): Promise<IssuedPass>;
  /** For who needs no token: what anybody on this machine may do. */
  issueAnonymous(asked: readonly Scope[]): Promise<IssuedPass>;
  /** @returns null when it is none of ours, or has ended */
  read(text: string): Promise<Pass | null>;
}

export interface IssuedPass {
  readonly pass: string;
  readonly granted: readonly Scope[];
  readonly issuedAtMs: number;
  readonly ttlSeconds: number;
}

const Scopes = z.array(z.object({ repository: z.string(), actions: z.array(z.enum(['pull', 'push', 'delete'])) }));
const Claims = z.object({ sub: z.string(), exp: z.number(), granted: Scopes, asked: Scopes });

const ALGORITHM = 'HS256';

/** So many passes are remembered as good until they end: a client sends one with each of its requests. */
const VERIFIED = 1000;

/** @param key 32 random bytes that all servers of the installation share */
export function createPasses(key: Buffer, clock: Clock): Passes {
  const secret = webcrypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);

  const verified = new Map<string, { readonly pass: Pass; readonly endsAtMs: number }>();

  async function issue(
    user: string,
    granted: readonly Scope[],
    asked: readonly Scope[],
    endsAtMs: number,
  ): Promise<IssuedPass> {
    const now = clock.now();
    const ttlSeconds = Math.floor((Math.min(now + TTL_MS, endsAtMs) - now) / 1000);
    const seconds = Math.floor(now / 1000);
    const pass = await new SignJWT({ granted, asked })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
      .setIssuer(PASS_SERVICE)
      .setAudience(PASS_SERVICE)
      .setSubject(user)
      .setIssuedAt(seconds)
      .setExpirationTime(seconds + ttlSeconds)
      .sign(await secret);
    return { pass, granted, issuedAtMs: now, ttlSeconds };
  }

  return {
    issue: async (principal, asked) =>
      issue(principal.user, grantScopes(principal, asked), asked, principal.endsAtMs ?? Infinity),
    issueAnonymous: async (asked) => {
      const granted = grantScopes({ roles: ['viewer'], projects: null }, asked);
      return issue('anonymous', granted, granted, Infinity); // a push asks again, with a token
    },
    read: async (text) => {
      const known = verified.get(text);
      if (known !== undefined && known.endsAtMs > clock.now()) return known.pass;
      try {
        // The algorithm is ours to say, not the sender's.
        const { payload } = await jwtVerify(text, await secret, {
          algorithms: [ALGORITHM],
          issuer: PASS_SERVICE,
          audience: PASS_SERVICE,
          requiredClaims: ['exp'],
          currentDate: new Date(clock.now()),
        });
        const claims = Claims.safeParse(payload);
        if (!claims.success) return null;
        const { sub: user, exp, granted, asked } = claims.data;
        const pass = { user, granted, asked };
        if (verified.size >= VERIFIED) verified.clear();
        verified.set(text, { pass, endsAtMs: exp * 1000 });
        return pass;
      } catch (error) {
        if (error instanceof errors.JOSEError) return null;
        throw error;
      }
    },
  };
}
