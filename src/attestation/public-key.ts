import { createPublicKey, type KeyObject } from 'node:crypto';

import { z } from 'zod';

import { sha256Hex } from '../lib/digest.ts';
import { AttestationError } from './error.ts';

/** `active`: it signs. `retired`: what it signed stays true. `revoked`: nothing that it signed counts. */
export type KeyState = 'active' | 'retired' | 'revoked';

/** A key by which statements of this installation are verified. */
export interface PublicKey {
  readonly hint: string;
  /** SPKI, in PEM. */
  readonly pem: string;
  readonly state: KeyState;
}

/** How bundles name a key: SHA-256 of its SPKI, in base64. */
export function hintOf(key: KeyObject): string {
  return Buffer.from(sha256Hex(key.export({ type: 'spki', format: 'der' })), 'hex').toString('base64');
}

export function pemOf(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

const KeyFile = z.object({
  keys: z.array(z.object({ pem: z.string(), state: z.enum(['active', 'retired', 'revoked']) })).min(1),
});

/**
 * Reads what `towpath key export` wrote (JSON, with the keys that were revoked), or public keys in PEM, which all count.
 * The hint is worked out anew: a file cannot pass one key off as another.
 * @throws AttestationError `attestation.keys-malformed`
 */
export function readKeyFile(text: string): readonly PublicKey[] {
  try {
    const keys = text.trimStart().startsWith('{')
      ? KeyFile.parse(JSON.parse(text)).keys
      : (text.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g) ?? []).map((pem) => ({
          pem,
          state: 'active' as const,
        }));
    const [first, ...rest] = keys.map(({ pem, state }) => {
      const key = createPublicKey(pem);
      if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error();
      return { hint: hintOf(key), pem: pemOf(key), state };
    });
    if (first !== undefined) return [first, ...rest];
  } catch {
    // said below
  }
  throw new AttestationError({
    code: 'attestation.keys-malformed',
    what: 'The file holds no public keys of a Towpath installation (ECDSA P-256, in PEM or as `towpath key export` writes them).',
    fix: 'Write it with `towpath key export --json > keys.json`.',
  });
}
