import fc from 'fast-check';
import { expect, test } from 'vitest';

import { signedStatements } from '../../attestation/attestation-store.ts';
import { bundlesOf } from '../../attestation/referrer.ts';
import { sealedKeys } from '../../attestation/signers/key/key.ts';
import { revokeKey, rotateKey, signingKeys } from '../../attestation/signing-key-store.ts';
import { cases } from '../../lib/testing/cases.ts';
import { A_DAY_AGO, age } from '../../registry/embedded/testing/age.ts';
import { setRight } from '../care/clock-back.ts';
import { testEngineStore } from '../engine/testing.ts';
import { deliverStatements } from './deliver.ts';
import { outbox, REPOSITORY } from './testing/outbox.ts';

const never = new AbortController().signal;

test('whatever is cut off at whatever step, each statement is signed once and lies beside its image once', async () => {
  const { want, deliver, chain, faults, image } = await outbox();
  let facts = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ wants: fc.nat(2), cut: fc.option(fc.nat(8)), late: fc.boolean() }), { maxLength: 5 }),
      async (rounds) => {
        for (const { wants, cut, late } of rounds) {
          for (let i = 0; i < wants; i++) await want(`fact ${(facts += 1)}`, image);
          faults.at = cut;
          faults.late = late;
          await deliver();
        }
        faults.at = null;
        await deliver();
        expect(await chain(image)).toEqual({ length: facts, whole: true, stored: facts, flaws: [] });
      },
    ),
    cases(6),
  );
});

test('several workers at once give one chain', async () => {
  const { want, house, chain, image } = await outbox();
  for (let i = 0; i < 12; i++) {
    await want(`fact ${i}`, image);
    await Promise.all([1, 2, 3].map(() => deliverStatements(house, never)));
  }
  await deliverStatements(house, never);
  expect(await chain(image)).toEqual({ length: 12, whole: true, stored: 12, flaws: [] });
});

test('a fact that is stated again is stated once', async () => {
  const { want, deliver, chain, image } = await outbox();
  for (let i = 0; i < 3; i++) {
    await want('the fact', image);
    await deliver();
  }
  expect(await chain(image)).toMatchObject({ length: 1, stored: 1 });
});

test('while the registry is away it is asked less and less often, and has everything when it is back', async () => {
  const { want, house, chain, faults, image, clock, problem } = await outbox();
  await want('fact', image);
  faults.at = 0;
  for (let second = 0; second < 120; second++) {
    await deliverStatements(house, never);
    clock.advance(1_000);
  }
  expect(faults.asked).toBeGreaterThan(4);
  expect(faults.asked).toBeLessThan(10);
  expect(await problem()).toMatchObject({ code: 'registry.unreachable' });
  faults.at = null;
  clock.advance(300_000);
  await deliverStatements(house, never);
  expect(await chain(image)).toMatchObject({ length: 1, whole: true });
  expect(await problem()).toBeNull();
});

test('a wait that was written by a clock that was ahead is over when it is right again', async () => {
  const { want, house, chain, faults, image } = await outbox(testEngineStore); // its clock is years ahead of the database's
  await want('fact', image);
  faults.at = 0;
  await deliverStatements(house, never);
  faults.at = null;
  await deliverStatements(house, never);
  expect(await chain(image)).toMatchObject({ length: 0 });
  await setRight({ store: house.store, starts: { promote: () => Promise.resolve() } });
  await deliverStatements(house, never);
  expect(await chain(image)).toMatchObject({ length: 1 });
});

test('what another key signs counts as before; what a revoked key signed is signed anew, word for word', async () => {
  const { want, deliver, chain, house, image } = await outbox();
  const { store, keys } = house;
  const texts = async () => await store.db.selectFrom('attestation').select('statement').orderBy('sequence').execute();
  await want('before', image);
  await deliver();
  const first = (await signingKeys(store.db))[0]?.hint ?? '';
  await store.transaction((tx) => rotateKey(tx, keys));
  await want('after', image);
  await deliver();
  expect(await chain(image)).toEqual({ length: 2, whole: true, stored: 2, flaws: [] });
  const before = await texts();
  const revoke = () => store.transaction((tx) => revokeKey(tx, keys, { hint: first, reason: 'copied', by: 'olga' }));
  expect(await revoke()).toBe(1);
  await deliver();
  expect(await texts()).toEqual(before);
  expect(await chain(image)).toEqual({ length: 2, whole: true, stored: 2, flaws: ['revoked-key'] });
  await expect(revoke()).rejects.toMatchObject({ code: 'attestation.key-revoked' });
  const held = await store.db.selectFrom('signing_key').select('held').where('hint', '=', first).execute();
  expect(held).toEqual([{ held: null }]);
});

test('a server that cannot open the key says so and leaves it to others; the key that signs is revoked for another', async () => {
  const { want, deliver, chain, house, image, problem } = await outbox();
  await want('one', image);
  await deliver();
  const other = { ...house, keys: sealedKeys(() => Promise.resolve('of another server')) };
  await want('two', image);
  await deliver(other);
  expect(await problem()).toMatchObject({ code: 'attestation.key-closed' });
  expect(JSON.stringify(await problem())).not.toContain('of another server');
  const [active] = await signingKeys(house.store.db);
  const wish = { hint: active?.hint ?? '', reason: 'lost', by: 'olga' };
  expect(await house.store.transaction((tx) => revokeKey(tx, other.keys, wish))).toBe(1);
  await deliver(other);
  expect(await chain(image)).toMatchObject({ length: 2, whole: true, stored: 2 });
});

test('statements go with their image, and come back with it and the next statement', async () => {
  const { want, deliver, chain, house, image, content, push, directory } = await outbox();
  await want('one', image);
  await deliver();
  const sweep = async (kept: readonly string[]) => {
    await age(directory);
    await content.sweep({ kept: keptOf(kept), beforeMs: A_DAY_AGO() });
  };
  await sweep([image.digest]);
  expect(await chain(image)).toMatchObject({ length: 1 });
  await sweep([]);
  expect(await bundlesOf(house.registry, REPOSITORY, image.digest)).toEqual([]);
  expect(await content.held()).toEqual([]);
  await want('while it was gone', image);
  await deliver();
  expect(await signedStatements(house.store.db, { repository: REPOSITORY, ...image })).toHaveLength(2);
  await push();
  await want('built again', image);
  await deliver();
  expect(await chain(image)).toEqual({ length: 3, whole: true, stored: 3, flaws: [] });
});

async function* keptOf(digests: readonly string[]) {
  for (const digest of digests) yield { repository: REPOSITORY, digest };
}
