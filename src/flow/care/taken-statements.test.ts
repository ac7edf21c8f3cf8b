import { expect, test } from 'vitest';

import { bundlesOf } from '../../attestation/referrer.ts';
import { json, type Store } from '../../store/database.ts';
import { deliverStatements } from '../statements/deliver.ts';
import { outbox, REPOSITORY } from '../statements/testing/outbox.ts';
import { findTakenStatements } from './taken-statements.ts';

const never = new AbortController().signal;
type Outbox = Awaited<ReturnType<typeof outbox>>;

test('what was taken away beside an image that runs is told once, and lies there again, word for word', async () => {
  const { house, deliver, chain, image, taken } = await running(await outbox());
  const before = await texts(house.store);
  await findTakenStatements(house);
  expect(await told(house.store)).toEqual([]);
  expect(await taken()).toBe(1);
  await findTakenStatements(house);
  await findTakenStatements(house);
  expect(await told(house.store)).toEqual([{ repository: REPOSITORY, digest: image.digest, statements: 1 }]);
  await deliver();
  expect(await chain(image)).toEqual({ length: 2, whole: true, stored: 2, flaws: [] });
  expect(await texts(house.store)).toEqual(before);
});

test('what came back by itself meanwhile is put nowhere twice, and nobody waits for it', async () => {
  const { house, deliver, chain, image, taken } = await running(await outbox());
  const manifest = await newestOf(house, image);
  expect(await taken()).toBe(1);
  await findTakenStatements(house);
  await house.registry.putManifest(REPOSITORY, manifest.digest, manifest);
  await deliver();
  expect(await chain(image)).toEqual({ length: 2, whole: true, stored: 2, flaws: [] });
  const open = await house.store.db.selectFrom('attestation').select('id').where('delivered_at', 'is', null).execute();
  expect(open).toEqual([]);
});

test('a registry that is away says nothing, nor does one that lost the image, nor what runs nowhere', async () => {
  const { house, taken, faults, image } = await running(await outbox());
  await taken();
  faults.at = 0;
  await findTakenStatements(house);
  faults.at = null;
  await house.store.db.updateTable('environment').set({ removed_at: new Date() }).execute();
  await findTakenStatements(house);
  await house.store.db.updateTable('environment').set({ removed_at: null }).execute();
  await house.registry.deleteManifest(REPOSITORY, image.digest);
  await findTakenStatements(house);
  expect(await told(house.store)).toEqual([]);
});

/** Two statements lie beside an image that runs in one environment. */
async function running(box: Outbox) {
  const { house, image, want } = box;
  const { db } = house.store;
  await want('one', image);
  await want('another', image);
  await deliverStatements(house, never);
  await db
    .insertInto('repository')
    .values({ id: 'r', project_id: 'p', url: 'file:///shop', default_branch: 'main' })
    .execute();
  await db
    .insertInto('environment')
    .values({ id: 'e', project_id: 'p', name: 'prod', slug: 'prod-s', position: 0, definition: json({}) })
    .execute();
  const release = { id: '1', project_id: 'p', repository_id: 'r', commit_sha: '1', fingerprint: '1' };
  await db
    .insertInto('release')
    .values({ ...release, state: 'ready', created_by: 'Ana' })
    .execute();
  const promotion = { id: '1', project_id: 'p', environment_id: 'e', release_id: '1', log_id: 'log' };
  await db
    .insertInto('promotion')
    .values({ ...promotion, kind: 'promotion', automatic: true, requested_by: 'Ana', cause: 'a push', state: 'live' })
    .execute();
  await db
    .insertInto('deployment')
    .values({
      environment_id: 'e',
      service: 'web',
      release_id: '1',
      promotion_id: '1',
      digest: image.digest,
      url: null,
    })
    .execute();
  return {
    ...box,
    /** Somebody who may write in the registry takes the newest away. @returns how many are left */
    taken: async () => {
      const { digest } = await newestOf(house, image);
      await house.registry.deleteManifest(REPOSITORY, digest);
      return (await bundlesOf(house.registry, REPOSITORY, image.digest)).length;
    },
  };
}

async function newestOf({ store, registry }: Outbox['house'], { digest }: Outbox['image']) {
  const row = await store.db
    .selectFrom('attestation')
    .select('manifest')
    .where('digest', '=', digest)
    .orderBy('sequence', 'desc')
    .executeTakeFirstOrThrow();
  return (await registry.manifest(REPOSITORY, row.manifest ?? '')) ?? expect.unreachable();
}

async function texts({ db }: Store) {
  return db.selectFrom('attestation').select(['sequence', 'statement']).orderBy('sequence').execute();
}

async function told({ db }: Store): Promise<unknown[]> {
  const rows = await db.selectFrom('event').select('data').where('kind', '=', 'evidence.taken').execute();
  return rows.map(({ data }) => data);
}
