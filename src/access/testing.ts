import type { CredentialKeeper } from './credential-keeper.ts';
import type { Credential } from './credential.ts';

/** Keeps the contract of `CredentialKeeper` in memory. The store's own keeper is run through the same tests. */
export function memoryKeeper(): CredentialKeeper {
  const rows = new Map<string, { credential: Credential; hash: string }>();
  return {
    add: async (credential, hash) => {
      rows.set(credential.id, { credential, hash });
    },
    byHash: async (hash) => [...rows.values()].find((row) => row.hash === hash)?.credential ?? null,
    byId: async (id) => rows.get(id)?.credential ?? null,
    revoke: async (id, atMs) => {
      const row = rows.get(id);
      if (row === undefined || row.credential.revokedAtMs !== null) return false;
      rows.set(id, { ...row, credential: { ...row.credential, revokedAtMs: atMs } });
      return true;
    },
    tokens: async () =>
      [...rows.values()]
        .map(({ credential }) => credential)
        .filter(({ kind }) => kind === 'token')
        .sort((a, b) => b.createdAtMs - a.createdAtMs),
    forget: async (endedBeforeMs) => {
      for (const [id, { credential }] of rows) {
        const endMs = Math.min(credential.expiresAtMs ?? Infinity, credential.revokedAtMs ?? Infinity);
        if ((credential.kind !== 'token' || credential.identity !== null) && endMs < endedBeforeMs) rows.delete(id);
      }
    },
  };
}
