import type { Credential } from './credential.ts';

/** Where credentials rest. Only hashes of secrets pass through here. */
export interface CredentialKeeper {
  add(credential: Credential, hash: string): Promise<void>;
  byHash(hash: string): Promise<Credential | null>;
  byId(id: string): Promise<Credential | null>;
  /** Marks it revoked at once and for one caller only. @returns false when it was not there, or revoked before */
  revoke(id: string, atMs: number): Promise<boolean>;
  /** Credentials of the kind `token`, newest first: sessions and codes come and go by themselves. */
  tokens(): Promise<Credential[]>;
  /** Forgets sessions, codes and tokens of identities that ended before this instant. */
  forget(endedBeforeMs: number): Promise<void>;
}
