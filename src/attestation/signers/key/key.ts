import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';

import { AttestationError } from '../../error.ts';
import { hintOf, pemOf } from '../../public-key.ts';
import type { KeyHolder } from '../../signer.ts';

const generate = promisify(generateKeyPair);

/** Keys of the installation's own: PKCS#8, closed by a passphrase that is asked for at the moment of use. */
export function sealedKeys(passphrase: () => Promise<string>): KeyHolder {
  const opened = new Map<string, KeyObject>();
  return {
    name: 'key',
    async make() {
      const { publicKey, privateKey } = await generate('ec', { namedCurve: 'P-256' });
      const closing = { cipher: 'aes-256-cbc', passphrase: await passphrase() };
      const held = privateKey.export({ type: 'pkcs8', format: 'pem', ...closing }).toString();
      return { hint: hintOf(publicKey), pem: pemOf(publicKey), held };
    },
    async open(held) {
      const key = opened.get(held) ?? openKey(held, await passphrase());
      opened.set(held, key);
      return { hint: hintOf(createPublicKey(key)), sign: async (bytes) => sign('sha256', bytes, key) };
    },
  };
}

function openKey(held: string, passphrase: string): KeyObject {
  try {
    return createPrivateKey({ key: held, format: 'pem', passphrase });
  } catch {
    // the reason of the library may speak of the passphrase
    throw new AttestationError({
      code: 'attestation.key-closed',
      what: 'The passphrase of this server does not open the signing key.',
      fix: 'Give all servers of the installation the same TOWPATH_SIGNING_PASSPHRASE; or run `towpath key rotate` on one that will sign from now on.',
    });
  }
}
