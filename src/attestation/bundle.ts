import { z } from 'zod';

import { AttestationError } from './error.ts';

/** Sigstore's bundle format, as cosign reads and writes it. */
export const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

/** Nothing that we or cosign sign is longer; a longer one is somebody's mistake or an attack. */
export const MAX_BUNDLE_BYTES = 4 * 1024 * 1024;

/** A statement with its one signature. */
export interface SignedStatement {
  readonly statement: string;
  /** ECDSA over `signedBytes`, in DER. */
  readonly signature: Buffer;
  /** Which key signed, as `hintOf` names it. Nobody has signed the hint: it only helps to find the key. */
  readonly hint: string;
}

/**
 * The bytes that a signature is over: the statement and its type, each with its length, so that no other pair of texts
 * has the same.
 * @see secure-systems-lab/dsse, `protocol.md`: PAE. Lengths count bytes, not characters.
 */
export function signedBytes(statement: string): Buffer {
  const payload = Buffer.from(statement);
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(PAYLOAD_TYPE)} ${PAYLOAD_TYPE} ${payload.length} `),
    payload,
  ]);
}

/**
 * A bundle without a log or a certificate: a public key is all that is needed to verify it. The envelope names no `keyid`,
 * for cosign 3 then looks for a key of that name and finds none.
 */
export function writeBundle({ statement, signature, hint }: SignedStatement): string {
  return JSON.stringify({
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { publicKey: { hint } },
    dsseEnvelope: {
      payload: Buffer.from(statement).toString('base64'),
      payloadType: PAYLOAD_TYPE,
      signatures: [{ sig: signature.toString('base64') }],
    },
  });
}

const Base64 = z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/);
const Bundle = z.looseObject({
  mediaType: z.literal(BUNDLE_TYPE),
  verificationMaterial: z.looseObject({ publicKey: z.looseObject({ hint: z.string().max(200) }) }),
  dsseEnvelope: z.looseObject({
    payload: Base64,
    payloadType: z.literal(PAYLOAD_TYPE),
    signatures: z.array(z.looseObject({ sig: Base64 })).length(1),
  }),
});

/** @throws AttestationError `attestation.malformed`: also for what is signed by a certificate, or more than once */
export function readBundle(text: string): SignedStatement {
  const read = text.length > MAX_BUNDLE_BYTES ? null : Bundle.safeParse(jsonOrNull(text));
  const sig = read?.data?.dsseEnvelope.signatures[0]?.sig;
  if (read?.success !== true || sig === undefined) throw malformed();
  const { dsseEnvelope, verificationMaterial } = read.data;
  const payload = Buffer.from(dsseEnvelope.payload, 'base64');
  const statement = payload.toString('utf8');
  // what is not UTF-8 would be read as another text than the one that was signed
  if (!Buffer.from(statement).equals(payload)) throw malformed();
  return { statement, signature: Buffer.from(sig, 'base64'), hint: verificationMaterial.publicKey.hint };
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function malformed(): AttestationError {
  return new AttestationError({
    code: 'attestation.malformed',
    what: 'This is no Sigstore bundle (v0.3) with one in-toto statement that a key has signed once.',
    fix: 'Give the bundle as it lies in the registry.',
  });
}
