import { expect, test } from 'vitest';

import { claimImages, wantStatement } from '../attestation/attestation-store.ts';
import { PREDICATES } from '../attestation/statement.ts';
import { sha256 } from '../lib/digest.ts';
import { claimDue } from '../source/poll-store.ts';
import { testStore } from '../store/testing.ts';
import { freeClaims } from './free-claims.ts';

test('what a killed server was polling and stating is taken up at once by the next, when there is no other', async () => {
  const store = await testStore();
  await store.db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  await store.db
    .insertInto('repository')
    .values({ id: 'r', project_id: 'p', url: 'https://git.test/shop', default_branch: 'main' })
    .execute();
  const images = [{ repository: 'shop/web', digest: sha256('image') }];
  await wantStatement(store.db, {
    projectId: 'p',
    fact: 'built',
    images,
    claim: { predicateType: PREDICATES.build, predicate: {} },
  });
  const claim = async () => {
    const nowMs = Date.now() + 1_000; // the look that comes a second later
    const polls = await claimDue(store, { now: nowMs, limit: 9, leaseMs: 30_000 });
    const statements = await claimImages(store.db, { nowMs, untilMs: nowMs + 30_000, most: 9 });
    return [polls.length, statements.length];
  };
  expect(await claim()).toEqual([1, 1]);
  expect(await claim()).toEqual([0, 0]);
  await freeClaims(store.db);
  expect(await claim()).toEqual([1, 1]);
});
