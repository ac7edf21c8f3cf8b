import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';

import { signedStatements, wantStatement } from '../../attestation/attestation-store.ts';
import { bundlesOf, readBundleAt } from '../../attestation/referrer.ts';
import { sealedKeys } from '../../attestation/signers/key/key.ts';
import { revokeKey, rotateKey, signingKeys } from '../../attestation/signing-key-store.ts';
import type { Statement } from '../../attestation/statement.ts';
import { CLAIMS } from '../../attestation/testing/claims.ts';
import { createVerifier } from '../../attestation/verify.ts';
import { fixedClock } from '../../lib/clock.ts';
import { sha256Hex } from '../../lib/digest.ts';
import { cases } from '../../lib/testing/cases.ts';
import { createEmbeddedRegistry } from '../../registry/embedded/embedded.ts';
import { A_DAY_AGO, age } from '../../registry/embedded/testing/age.ts';
import { RegistryError } from '../../registry/error.ts';
import type { Registry } from '../../registry/registry.ts';
import { noise, pushImage, testImage } from '../../registry/testing/images.ts';
import type { Store } from '../../store/database.ts';
import { testStore } from '../../store/testing.ts';
import { setRight } from '../care/clock-back.ts';
import { testEngineStore } from '../engine/testing.ts';
import { deliverStatements } from './deliver.ts';

const never = new AbortController().signal;
const REPOSITORY = 'shop/web';
const claims = Object.values(CLAIMS);

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

/** A registry that breaks off at one of its writes, or is away: before the write, or after it, as when the answer is lost. */
function breaking(registry: Registry, faults: { at: number | null; late: boolean; asked: number }): Registry {
  let calls = 0;
  const through = async <T>(work: () => Promise<T>): Promise<T> => {
    const hit = faults.at !== null && calls++ >= faults.at;
    if (hit) faults.asked += 1;
    if (hit && !faults.late) throw away();
    const made = await work();
    if (hit) throw away();
    return made;
  };
  return {
    ...registry,
    manifest: (...args) => {
      calls = 0; // with it the delivery to an image begins
      return through(() => registry.manifest(...args));
    },
    referrers: (...args) => through(() => registry.referrers(...args)),
    writeBlob: (...args) => through(() => registry.writeBlob(...args)),
    putManifest: (...args) => through(() => registry.putManifest(...args)),
  };
}

function away(): RegistryError {
  return new RegistryError({ code: 'registry.unreachable', what: 'It is away.', fix: 'Wait.' });
}

/** One image in a real registry, and facts about it in real Postgres. */
async function outbox(open: () => Promise<Store> = testStore) {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-statements-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const store = await open();
  const clock = fixedClock(Date.UTC(2030, 0, 1));
  await store.db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  const embedded = await createEmbeddedRegistry({ directory, host: 'registry.test' });
  const image = await testImage([{ data: noise(1000, directory) }]);
  const push = () => pushImage(embedded.registry(), REPOSITORY, image);
  await push();
  const faults: { at: number | null; late: boolean; asked: number } = { at: null, late: false, asked: 0 };
  const keys = sealedKeys(() => Promise.resolve('open sesame'));
  const log = pino({ level: 'silent' });
  const house = { store, clock, log, keys, registry: breaking(embedded.registry(), faults) };
  return {
    house,
    image,
    push,
    directory,
    clock,
    faults,
    content: embedded.content(),
    want: async (fact: string, { digest }: typeof image) => {
      const claim = claims[fact.length % claims.length];
      if (claim === undefined) throw new Error('There is no claim.');
      await wantStatement(store.db, { projectId: 'p', fact, images: [{ repository: REPOSITORY, digest }], claim });
    },
    /** As a worker that comes back when every claim and every wait is over. */
    deliver: async (place = house) => {
      clock.advance(3_600_000);
      await deliverStatements(place, never);
    },
    problem: async () => (await store.db.selectFrom('attested_image').select('problem').executeTakeFirst())?.problem,
    /** What anybody finds beside the image with the public keys alone. */
    chain: async ({ digest }: typeof image) => {
      const verifier = createVerifier(await signingKeys(store.db));
      const registry = embedded.registry();
      const flaws: string[] = [];
      const found: { statement: Statement; text: string }[] = [];
      for (const manifest of await bundlesOf(registry, REPOSITORY, digest)) {
        const read = verifier.verify((await readBundleAt(registry, REPOSITORY, manifest)) ?? '', digest);
        if (read.kind === 'verified') found.push(read);
        else flaws.push(read.flaw);
      }
      found.sort((one, other) => (one.statement.link?.sequence ?? 0) - (other.statement.link?.sequence ?? 0));
      const whole = found.every(({ statement: { link } }, i) => {
        const before = found[i - 1];
        return link?.sequence === i + 1 && link.previous === (before === undefined ? null : sha256Hex(before.text));
      });
      const stored = (await signedStatements(store.db, { repository: REPOSITORY, digest })).length;
      return { length: found.length, whole, stored, flaws };
    },
  };
}
