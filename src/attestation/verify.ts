import { createPublicKey, type KeyObject, verify } from 'node:crypto';

import type { Digest } from '../lib/digest.ts';
import { readBundle, signedBytes } from './bundle.ts';
import type { PublicKey } from './public-key.ts';
import { readStatement, type Statement } from './statement.ts';

/** Why a statement does not count. */
export type Flaw =
  /** No bundle, or no statement in it. */
  | 'malformed'
  /** A key that is none of ours: anybody may put statements beside ours. */
  | 'unknown-key'
  | 'revoked-key'
  /** It was changed after it was signed, or somebody else signed it. */
  | 'wrong-signature'
  /** It is about another image. */
  | 'wrong-subject';

export type Verification =
  | { readonly kind: 'verified'; readonly statement: Statement; readonly text: string; readonly hint: string }
  | { readonly kind: 'refused'; readonly flaw: Flaw };

/** Verifies bundles against the keys of an installation; a key is read once. */
export interface Verifier {
  /** @param digest of the image that it must be about: a valid signature alone says nothing of any image */
  verify(bundle: string, digest: Digest): Verification;
}

export function createVerifier(keys: readonly PublicKey[]): Verifier {
  const known = new Map<string, PublicKey & { readonly key: KeyObject }>(
    keys.map((key) => [key.hint, { ...key, key: createPublicKey(key.pem) }]),
  );
  return {
    verify(bundle, digest) {
      const signed = bundleOrNull(bundle);
      if (signed === null) return refused('malformed');
      const by = known.get(signed.hint);
      if (by === undefined) return refused('unknown-key');
      if (by.state === 'revoked') return refused('revoked-key');
      if (!verify('sha256', signedBytes(signed.statement), by.key, signed.signature)) return refused('wrong-signature');
      const statement = readStatement(signed.statement);
      if (statement === null) return refused('malformed');
      if (!statement.subjects.some((subject) => subject.digest === digest)) return refused('wrong-subject');
      return { kind: 'verified', statement, text: signed.statement, hint: signed.hint };
    },
  };
}

function refused(flaw: Flaw): Verification {
  return { kind: 'refused', flaw };
}

function bundleOrNull(text: string) {
  try {
    return readBundle(text);
  } catch {
    return null;
  }
}
