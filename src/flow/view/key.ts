/** A key by which signed statements are verified. */
export interface SigningKeyView {
  /** How bundles name it: SHA-256 of the public key, in base64. */
  readonly hint: string;
  /** `active`: it signs. `retired`: what it signed stays true. `revoked`: nothing that it signed counts. */
  readonly state: 'active' | 'retired' | 'revoked';
  /** The public key in PEM. */
  readonly pem: string;
  readonly since: string;
  /** Since when it signs no more. */
  readonly until: string | null;
  readonly revoked: { readonly at: string; readonly by: string; readonly reason: string } | null;
}

export interface RevokedKeyView {
  readonly keys: readonly SigningKeyView[];
  /** How many statements are signed anew by the key that signs now. */
  readonly signedAnew: number;
}
