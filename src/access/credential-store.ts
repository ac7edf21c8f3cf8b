import type { Selectable } from 'kysely';

import { json, type Sql } from '../store/database.ts';
import type { Tables } from '../store/tables.ts';
import type { CredentialKeeper } from './credential-keeper.ts';
import type { Credential, CredentialKind } from './credential.ts';
import { StoredIdentity } from './identity.ts';

/** Credentials in Postgres, where every server of the installation sees them and a revocation counts at once. */
export function storedCredentials(db: Sql): CredentialKeeper {
  return {
    add: async (credential, hash) => {
      await db
        .insertInto('access_token')
        .values({
          id: credential.id,
          kind: credential.kind,
          token_id: credential.tokenId,
          hash,
          name: credential.name,
          user_name: credential.user,
          roles: [...credential.roles],
          projects: credential.projects === null ? null : [...credential.projects],
          created_at: new Date(credential.createdAtMs),
          expires_at: dateOrNull(credential.expiresAtMs),
          revoked_at: dateOrNull(credential.revokedAtMs),
          identity: credential.identity === null ? null : json(credential.identity),
        })
        .execute();
    },
    byHash: async (hash) => {
      const row = await db.selectFrom('access_token').selectAll().where('hash', '=', hash).executeTakeFirst();
      return row === undefined ? null : credentialOf(row);
    },
    byId: async (id) => {
      const row = await db.selectFrom('access_token').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : credentialOf(row);
    },
    revoke: async (id, atMs) => {
      const done = await db
        .updateTable('access_token')
        .set({ revoked_at: new Date(atMs) })
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .executeTakeFirst();
      return done.numUpdatedRows === 1n;
    },
    tokens: async () => {
      const rows = await db
        .selectFrom('access_token')
        .selectAll()
        .where('kind', '=', 'token')
        .orderBy('created_at', 'desc')
        .orderBy('id', 'desc')
        .execute();
      return rows.map(credentialOf);
    },
    forget: async (endedBeforeMs) => {
      const before = new Date(endedBeforeMs);
      await db
        .deleteFrom('access_token')
        .where((row) => row.or([row('kind', '<>', 'token'), row('identity', 'is not', null)]))
        .where((row) => row.or([row('expires_at', '<', before), row('revoked_at', '<', before)]))
        .execute();
    },
  };
}

function credentialOf(row: Selectable<Tables['access_token']>): Credential {
  return {
    id: row.id,
    kind: kindOf(row.kind),
    tokenId: row.token_id,
    name: row.name,
    user: row.user_name,
    roles: row.roles,
    projects: row.projects,
    createdAtMs: row.created_at.getTime(),
    expiresAtMs: row.expires_at?.getTime() ?? null,
    revokedAtMs: row.revoked_at?.getTime() ?? null,
    identity: StoredIdentity.nullable().parse(row.identity),
  };
}

/** The table allows no other; what is none of ours opens nothing, for a code has to be young. */
function kindOf(text: string): CredentialKind {
  return text === 'token' || text === 'session' ? text : 'code';
}

function dateOrNull(ms: number | null): Date | null {
  return ms === null ? null : new Date(ms);
}
