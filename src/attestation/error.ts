import { TowpathError } from '../lib/error.ts';

/** What can go wrong with signed statements. Codes: `attestation.<what>`; the list is in `AttestationErrorCode`. */
export class AttestationError extends TowpathError {
  declare readonly code: AttestationErrorCode;
}

export type AttestationErrorCode =
  /** The bytes are no Sigstore bundle with one signed in-toto statement. */
  | 'attestation.malformed'
  /** The passphrase does not open the key. */
  | 'attestation.key-closed'
  /** There is no signing key of this name. */
  | 'attestation.key-unknown'
  /** It was revoked before. */
  | 'attestation.key-revoked'
  /** The file of public keys is not one. */
  | 'attestation.keys-malformed';
