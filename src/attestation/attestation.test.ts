import { createPublicKey } from 'node:crypto';

import { bundleFromJSON } from '@sigstore/bundle';
import { toSignedEntity, Verifier } from '@sigstore/verify';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { cases } from '../lib/testing/cases.ts';
import { readBundle, signedBytes, writeBundle } from './bundle.ts';
import { type PublicKey, readKeyFile } from './public-key.ts';
import { sealedKeys } from './signers/key/key.ts';
import { readStatement, writeStatement } from './statement.ts';
import { CLAIMS } from './testing/claims.ts';
import { createVerifier } from './verify.ts';

const holder = sealedKeys(() => Promise.resolve('open sesame'));
const digest = sha256('an image');
const made = await holder.make();
const other = await holder.make();
const ours: PublicKey = { hint: made.hint, pem: made.pem, state: 'active' };

async function bundleOf(claim = CLAIMS['passed'], { held } = made, about = digest): Promise<string> {
  if (claim === undefined) throw new Error('There is no such claim.');
  const statement = writeStatement({
    ...claim,
    name: 'shop/web',
    digest: about,
    link: { sequence: 1, previous: null },
  });
  const signer = await holder.open(held);
  return writeBundle({ statement, signature: await signer.sign(signedBytes(statement)), hint: signer.hint });
}

describe.each(Object.entries(CLAIMS))('a statement of the kind "%s"', (_name, claim) => {
  test('is verified by its key, and by the verifier of Sigstore', async () => {
    const bundle = await bundleOf(claim);
    const found = createVerifier([ours]).verify(bundle, digest);
    expect(found).toMatchObject({ kind: 'verified', statement: { ...claim, link: { sequence: 1, previous: null } } });
    const key = createPublicKey(made.pem);
    const none = { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 };
    const trust = {
      certificateAuthorities: [],
      timestampAuthorities: [],
      tlogs: [],
      ctlogs: [],
      publicKey: (hint: string) => {
        expect(hint).toBe(made.hint);
        return { publicKey: key, validFor: () => true };
      },
    };
    const entity = toSignedEntity(bundleFromJSON(JSON.parse(bundle)));
    expect(() => new Verifier(trust, none).verify(entity)).not.toThrow();
  });
});

test('a list of packages stays CycloneDX, which takes no key that it does not know', async () => {
  const found = createVerifier([ours]).verify(await bundleOf(CLAIMS['packages']), digest);
  const predicate = found.kind === 'verified' ? found.statement.predicate : {};
  expect(predicate).toEqual({
    ...CLAIMS['packages']?.predicate,
    properties: [{ name: 'https://towpath.dev/chain/v1', value: '{"previous":null,"sequence":1}' }],
  });
});

test('no byte of what is signed, nor of the signature, can be another', async () => {
  const bundle = await bundleOf();
  const { statement, signature, hint } = readBundle(bundle);
  const verifier = createVerifier([ours]);
  const text = Buffer.from(statement);
  fc.assert(
    fc.property(fc.nat(text.length + signature.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const both = Buffer.concat([text, signature]);
      both[at] = (both[at] ?? 0) ^ change;
      const altered = JSON.parse(writeBundle({ statement: '', signature: both.subarray(text.length), hint })) as {
        dsseEnvelope: { payload: string };
      };
      altered.dsseEnvelope.payload = both.subarray(0, text.length).toString('base64');
      expect(verifier.verify(JSON.stringify(altered), digest).kind).toBe('refused');
    }),
    cases(300),
  );
});

test('what is signed by another key, a revoked one, or about another image does not count', async () => {
  const bundle = await bundleOf();
  const verify = (keys: PublicKey[], about = digest, text = bundle) => createVerifier(keys).verify(text, about);
  expect(verify([{ ...ours, state: 'retired' }])).toMatchObject({ kind: 'verified' });
  expect(verify([{ ...ours, state: 'revoked' }])).toEqual({ kind: 'refused', flaw: 'revoked-key' });
  expect(verify([{ ...ours, hint: other.hint, pem: other.pem }])).toEqual({ kind: 'refused', flaw: 'unknown-key' });
  // nobody signs the hint, so somebody may write ours into his own bundle
  const forged = bundle.replace(made.hint, other.hint);
  expect(verify([ours, { ...ours, hint: other.hint, pem: other.pem }], digest, forged)).toEqual({
    kind: 'refused',
    flaw: 'wrong-signature',
  });
  expect(verify([ours], sha256('another'))).toEqual({ kind: 'refused', flaw: 'wrong-subject' });
});

test('what is no bundle is malformed, and never throws', async () => {
  const sound = JSON.parse(await bundleOf()) as { dsseEnvelope: { signatures: unknown[] } };
  const twice = {
    ...sound,
    dsseEnvelope: { ...sound.dsseEnvelope, signatures: [...sound.dsseEnvelope.signatures, { sig: 'AAAA' }] },
  };
  for (const text of ['', '{}', '[]', 'null', '{"dsseEnvelope":{}}', JSON.stringify(twice), '{'.repeat(5_000_000)])
    expect(createVerifier([ours]).verify(text, digest)).toEqual({ kind: 'refused', flaw: 'malformed' });
});

test('equal facts have one text, and it names each field that in-toto wants', () => {
  const [claim] = Object.values(CLAIMS);
  if (claim === undefined) throw new Error('There is no claim.');
  const link = { sequence: 2, previous: 'ab'.repeat(32) };
  const text = writeStatement({ ...claim, name: 'shop/web', digest, link });
  expect(writeStatement({ link, digest, name: 'shop/web', ...claim })).toBe(text);
  expect(JSON.parse(text)).toMatchObject({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'shop/web', digest: { sha256: digest.slice(7) } }],
    predicateType: claim.predicateType,
  });
  expect(readStatement(text.replace('Statement/v1', 'Statement/v0.1'))).toBeNull();
});

test('a key is opened by its passphrase alone, and is nowhere in plain', async () => {
  expect(made.held).toContain('ENCRYPTED PRIVATE KEY');
  await expect(sealedKeys(() => Promise.resolve('guess')).open(made.held)).rejects.toMatchObject({
    code: 'attestation.key-closed',
  });
});

test('a file of keys says which were revoked; one of PEM holds keys that all count; a hint cannot be made up', () => {
  const file = JSON.stringify({ keys: [{ hint: 'x', pem: made.pem, state: 'revoked' }] });
  expect(readKeyFile(file)).toEqual([{ ...ours, state: 'revoked' }]);
  expect(readKeyFile(`${made.pem}\n${other.pem}`).map(({ hint }) => hint)).toEqual([made.hint, other.hint]);
  for (const text of ['', '{}', '{"keys":[]}', made.held, made.pem.slice(0, 90)])
    expect(() => readKeyFile(text)).toThrow(/public keys/);
});
