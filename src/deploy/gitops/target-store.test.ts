import { beforeEach, expect, test } from 'vitest';

import type { Store } from '../../store/database.ts';
import { testStore } from '../../store/testing.ts';
import { type Claim, createClaims, forgetTarget, knownTarget } from './target-store.ts';

let store: Store;

beforeEach(async () => {
  store = await testStore();
});

function claimOf(target: string, token: bigint, operation = `op-${token}`): Claim {
  const repository = { url: 'https://git.example.com/manifests.git', host: null, credential: null };
  const place = { repository, branch: 'main', services: {}, success: 'commit' as const, request: null };
  return { target, name: target, token, operation, place };
}

test('of those that claim at one moment each has its own target, and hears what was there before', async () => {
  const claim = createClaims(store.db);
  const targets = Array.from({ length: 30 }, (_, at) => `target-${at}`);
  expect(await Promise.all(targets.map((target) => claim(claimOf(target, 1n))))).toEqual(targets.map(() => null));
  const again = await Promise.all(targets.map((target) => claim(claimOf(target, 2n))));
  expect(again.map((before) => before?.operation)).toEqual(targets.map(() => 'op-1'));
  expect((await knownTarget(store.db, 'target-7'))?.operation).toBe('op-2');
});

test('a newer hand keeps its target, and the others beside it get theirs', async () => {
  const claim = createClaims(store.db);
  await claim(claimOf('shared', 5n));
  const ended = await Promise.allSettled([claimOf('own', 1n), claimOf('shared', 4n), claimOf('other', 1n)].map(claim));
  expect(ended).toMatchObject([
    { status: 'fulfilled' },
    { status: 'rejected', reason: { code: 'deploy.fenced' } },
    { status: 'fulfilled' },
  ]);
  expect((await knownTarget(store.db, 'shared'))?.operation).toBe('op-5');
});

test('of two on one target the newer one wins, in whichever order they come', async () => {
  const claim = createClaims(store.db);
  expect(await Promise.all([claim(claimOf('one', 1n)), claim(claimOf('one', 2n))])).toMatchObject([
    null,
    { operation: 'op-1' },
  ]);
  await expect(claim(claimOf('one', 1n))).rejects.toMatchObject({ code: 'deploy.fenced' });
  await forgetTarget(store.db, 'one', 'one', 2n);
  expect(await claim(claimOf('one', 1n))).toBeNull();
});
