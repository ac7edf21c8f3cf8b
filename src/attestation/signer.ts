/** A private key that can sign, and does not come out. */
export interface Signer {
  readonly hint: string;
  /** @returns ECDSA P-256 over the SHA-256 of the bytes, in DER */
  sign(bytes: Buffer): Promise<Buffer>;
}

export interface MadeKey {
  readonly hint: string;
  /** SPKI, in PEM. */
  readonly pem: string;
  /** What `open` needs; kept in the store, so it is no secret by itself. */
  readonly held: string;
}

/**
 * Where private keys are. There is one: keys of our own, closed by a passphrase (`signers/key`). A key service (KMS) would
 * be the next: `held` is then the name of the key, and `sign` a call.
 */
export interface KeyHolder {
  readonly name: string;
  make(): Promise<MadeKey>;
  /** @throws AttestationError `attestation.key-closed` */
  open(held: string): Promise<Signer>;
}
