import { AttestationError } from '../../attestation/error.ts';
import { revokeKey, rotateKey, type SigningKey, signingKeys } from '../../attestation/signing-key-store.ts';
import { recordAudit } from '../../audit/audit-store.ts';
import type { Sql } from '../../store/database.ts';
import { once } from '../../store/once.ts';
import type { House } from '../house.ts';
import type { UseCases } from '../use-cases.ts';
import type { SigningKeyView } from '../view/key.ts';

export function keyCases({ store, keys: holder }: House): UseCases['keys'] {
  const list = async (): Promise<SigningKeyView[]> => (await signingKeys(store.db)).map(viewOf);
  return {
    list,
    async rotate(by) {
      await once(store, async (tx) => {
        const hint = await rotateKey(tx, holder);
        await recordAudit(tx, { actor: by, action: 'key.rotate', subject: hint });
      });
      return list();
    },
    async revoke(key, reason, by) {
      const signedAnew = await once(store, async (tx) => {
        const hint = await hintOf(tx, key);
        const count = await revokeKey(tx, holder, { hint, reason, by });
        await recordAudit(tx, {
          actor: by,
          action: 'key.revoke',
          subject: hint,
          detail: { reason, signedAnew: count },
        });
        return count;
      });
      return { keys: await list(), signedAnew };
    },
  };
}

/** People write the beginning of it, as long as it says which. */
async function hintOf(db: Sql, word: string): Promise<string> {
  const [found, ...others] = (await signingKeys(db)).filter(({ hint }) => hint.startsWith(word));
  if (found !== undefined && others.length === 0) return found.hint;
  throw new AttestationError({
    code: 'attestation.key-unknown',
    what: `${found === undefined ? 'No signing key begins' : 'Several signing keys begin'} with "${word.slice(0, 80)}".`,
    fix: '`towpath key list` names them.',
  });
}

function viewOf({ hint, state, pem, since, retiredAt, revoked }: SigningKey): SigningKeyView {
  return {
    hint,
    state,
    pem,
    since: since.toISOString(),
    until: retiredAt?.toISOString() ?? null,
    revoked: revoked && { ...revoked, at: revoked.at.toISOString() },
  };
}
