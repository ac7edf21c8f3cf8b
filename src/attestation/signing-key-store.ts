import { sql } from 'kysely';

import type { Sql, Tx } from '../store/database.ts';
import { AttestationError } from './error.ts';
import type { KeyState, PublicKey } from './public-key.ts';
import type { KeyHolder, Signer } from './signer.ts';

export interface SigningKey extends PublicKey {
  readonly holder: string;
  readonly since: Date;
  readonly retiredAt: Date | null;
  readonly revoked: { readonly at: Date; readonly by: string; readonly reason: string } | null;
}

/** All that there ever were, the newest first. */
export async function signingKeys(db: Sql): Promise<SigningKey[]> {
  const rows = await db.selectFrom('signing_key').selectAll().orderBy('since', 'desc').orderBy('hint').execute();
  return rows.map((row) => ({
    hint: row.hint,
    pem: row.public_key,
    state: row.state,
    holder: row.holder,
    since: row.since,
    retiredAt: row.retired_at,
    revoked:
      row.revoked_at === null
        ? null
        : { at: row.revoked_at, by: row.revoked_by ?? '', reason: row.revoke_reason ?? '' },
  }));
}

/** Makes the first key, when there is none. */
export async function ensureSigningKey(tx: Tx, holder: KeyHolder): Promise<void> {
  if ((await activeKey(tx).executeTakeFirst()) !== undefined) return;
  await lockKeys(tx); // of several servers that start at once, one makes it
  if ((await activeKey(tx).executeTakeFirst()) === undefined) await makeKey(tx, holder);
}

/**
 * The key that signs, opened. Until the transaction ends nobody retires or revokes it.
 * @throws AttestationError `attestation.key-closed`
 */
export async function activeSigner(tx: Tx, holder: KeyHolder): Promise<Signer> {
  const found = await activeKey(tx).forShare().executeTakeFirst();
  if (typeof found?.held === 'string') return holder.open(found.held);
  await ensureSigningKey(tx, holder); // it was taken out of use at this moment, or there never was one
  return activeSigner(tx, holder);
}

/** From now on another key signs. @returns its hint */
export async function rotateKey(tx: Tx, holder: KeyHolder): Promise<string> {
  await lockKeys(tx);
  await tx
    .updateTable('signing_key')
    .set({ state: 'retired', retired_at: sql<Date>`clock_timestamp()` })
    .where('state', '=', 'active')
    .execute();
  return makeKey(tx, holder);
}

/**
 * Nothing that it signed counts any more, so what it stated is signed anew, by another. What is put beside images then is
 * other bytes; what the key left there is not taken away, for nobody believes it.
 * @returns how many statements are signed anew
 * @throws AttestationError `attestation.key-unknown`, `attestation.key-revoked`
 */
export async function revokeKey(
  tx: Tx,
  holder: KeyHolder,
  { hint, reason, by }: { readonly hint: string; readonly reason: string; readonly by: string },
): Promise<number> {
  await lockKeys(tx);
  const state = await stateOf(tx, hint);
  await tx
    .updateTable('signing_key')
    .set({
      state: 'revoked',
      held: null,
      retired_at: sql<Date>`coalesce(retired_at, clock_timestamp())`,
      revoked_at: sql<Date>`clock_timestamp()`,
      revoked_by: by,
      revoke_reason: reason,
    })
    .where('hint', '=', hint)
    .execute();
  if (state === 'active') await makeKey(tx, holder);
  const { numUpdatedRows } = await tx
    .updateTable('attestation')
    .set({ key_hint: null, bundle: null, signed_at: null, manifest: null, delivered_at: null })
    .where('key_hint', '=', hint)
    .executeTakeFirst();
  return Number(numUpdatedRows);
}

async function stateOf(tx: Tx, hint: string): Promise<KeyState> {
  const row = await tx.selectFrom('signing_key').select('state').where('hint', '=', hint).executeTakeFirst();
  if (row === undefined)
    throw new AttestationError({
      code: 'attestation.key-unknown',
      what: `There is no signing key "${hint.slice(0, 80)}".`,
      fix: '`towpath key list` names them.',
    });
  if (row.state === 'revoked')
    throw new AttestationError({
      code: 'attestation.key-revoked',
      what: 'The key was revoked before.',
      fix: 'Nothing is left to revoke; `towpath key list` says when and why.',
    });
  return row.state;
}

function activeKey(db: Sql) {
  return db.selectFrom('signing_key').select('held').where('state', '=', 'active');
}

async function makeKey(tx: Tx, holder: KeyHolder): Promise<string> {
  const { hint, pem, held } = await holder.make();
  await tx.insertInto('signing_key').values({ hint, holder: holder.name, public_key: pem, held }).execute();
  return hint;
}

async function lockKeys(tx: Tx): Promise<void> {
  await sql`lock table signing_key in exclusive mode`.execute(tx);
}
