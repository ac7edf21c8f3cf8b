import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from 'jose';

import type { Clock } from '../../lib/clock.ts';
import { falseIdentity, malformedIdentity } from '../identity-error.ts';
import type { Claims } from '../identity.ts';
import type { IssuerKeys } from './issuer-keys.ts';

const MAX_CHARACTERS = 16 * 1024;
/** Whoever signs with a secret that both sides know, or not at all, proves nothing about an issuer. */
const ALGORITHMS: readonly string[] = ['RS256', 'ES256'];
const SKEW_SECONDS = 60;
const MAX_AGE_SECONDS = 86_400;

/** A token that was not verified: whom it says it is of, so that their keys may be asked for. */
export interface UnverifiedIdentity {
  readonly text: string;
  readonly issuer: string;
  readonly kid: string | undefined;
}

/** @throws AccessError `access.identity-malformed`, and nothing else, whatever the text is */
export function readIdentity(text: string): UnverifiedIdentity {
  if (text.length > MAX_CHARACTERS) throw malformedIdentity();
  try {
    const { alg, kid } = decodeProtectedHeader(text);
    const { iss } = decodeJwt(text);
    if (typeof iss === 'string' && ALGORITHMS.includes(alg ?? '') && ['string', 'undefined'].includes(typeof kid))
      return { text, issuer: iss, kid };
  } catch {
    // jose says in several ways that a text is no token
  }
  throw malformedIdentity();
}

/**
 * Whether the issuer signed it, and it is of now. Whom it is for is not looked at here.
 * @throws AccessError `access.identity-untrue`, `access.issuer-unavailable`
 */
export async function verifyIdentity(
  { text, issuer, kid }: UnverifiedIdentity,
  keys: IssuerKeys,
  clock: Clock,
): Promise<Claims> {
  const set = await keys.of(issuer, kid);
  try {
    const { payload } = await jwtVerify(text, set, {
      algorithms: [...ALGORITHMS],
      issuer,
      requiredClaims: ['sub', 'aud', 'exp', 'iat'],
      maxTokenAge: MAX_AGE_SECONDS,
      clockTolerance: SKEW_SECONDS,
      currentDate: new Date(clock.now()),
    });
    return payload;
  } catch (error) {
    throw falseIdentity(whyOf(error));
  }
}

function whyOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'its time is over';
  if (error instanceof errors.JWTClaimValidationFailed) return `its \`${error.claim}\` is missing, or not of now`;
  if (error instanceof errors.JWKSNoMatchingKey) return 'its issuer has no such key';
  return 'its issuer did not sign it';
}
