import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { onTestFinished } from 'vitest';

import { signedStatements, wantStatement } from '../../../attestation/attestation-store.ts';
import { bundlesOf, readBundleAt } from '../../../attestation/referrer.ts';
import { sealedKeys } from '../../../attestation/signers/key/key.ts';
import { signingKeys } from '../../../attestation/signing-key-store.ts';
import type { Statement } from '../../../attestation/statement.ts';
import { CLAIMS } from '../../../attestation/testing/claims.ts';
import { createVerifier } from '../../../attestation/verify.ts';
import { fixedClock } from '../../../lib/clock.ts';
import { sha256Hex } from '../../../lib/digest.ts';
import { createEmbeddedRegistry } from '../../../registry/embedded/embedded.ts';
import { RegistryError } from '../../../registry/error.ts';
import type { Registry } from '../../../registry/registry.ts';
import { noise, pushImage, testImage } from '../../../registry/testing/images.ts';
import type { Store } from '../../../store/database.ts';
import { testStore } from '../../../store/testing.ts';
import { deliverStatements } from '../deliver.ts';

export const REPOSITORY = 'shop/web';
const never = new AbortController().signal;
const claims = Object.values(CLAIMS);

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
export async function outbox(open: () => Promise<Store> = testStore) {
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
