import { sha256Hex } from '../lib/digest.ts';
import type { Identity } from './identity.ts';

/**
 * What a secret is for. A `token` stands in a header, a `session` in the page's cookie, a `code` opens one session and
 * is spent by that. One kind is never taken for another.
 */
export type CredentialKind = 'token' | 'session' | 'code';

/** Somebody whose secret was valid. `user` is the name that approvals, events and the audit trail show. */
export interface Principal {
  readonly credentialId: string;
  readonly user: string;
  readonly roles: readonly string[];
  /** The projects that they may reach, by name; null for all. */
  readonly projects: readonly string[] | null;
  readonly kind: CredentialKind;
  /** The token that they hold, or that their session was made from. */
  readonly tokenId: string;
  /** When the credential ends by itself; null when it does not. */
  readonly endsAtMs: number | null;
  /** Of a token that a CI got for its identity token: who its job is. */
  readonly identity: Identity | null;
}

/** What is known of a credential afterwards: everything but its secret, of which only a hash is kept. */
export interface Credential {
  readonly id: string;
  readonly kind: CredentialKind;
  /** Of a session or a code: the token that it was made from, and with which it ends. */
  readonly tokenId: string | null;
  readonly name: string;
  readonly user: string;
  readonly roles: readonly string[];
  /** The projects that it is limited to, by name; null for all. */
  readonly projects: readonly string[] | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  /** Of a token that a CI got for its identity token. Such a one is forgotten when it has ended. */
  readonly identity: Identity | null;
}

const PREFIX = { token: 'twp_', session: 'tws_', code: 'twc_' } as const satisfies Record<CredentialKind, string>;

/** 256 random bits behind a prefix by which secret scanners, and people, know what they look at. */
export function newSecret(kind: CredentialKind, random: (bytes: number) => Buffer): string {
  return `${PREFIX[kind]}${random(32).toString('base64url')}`;
}

/** A secret of 256 random bits cannot be guessed from its hash, so a slow hash would only be slow. */
export function hashOfSecret(secret: string): string {
  return sha256Hex(secret);
}

export function looksLike(kind: CredentialKind, secret: string): boolean {
  return secret.startsWith(PREFIX[kind]) && secret.length === PREFIX[kind].length + 43;
}

export function isAlive(credential: Credential, now: number): boolean {
  return credential.revokedAtMs === null && (credential.expiresAtMs === null || now < credential.expiresAtMs);
}
