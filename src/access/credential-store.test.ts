import { describe, expect, test } from 'vitest';

import { testStore } from '../store/testing.ts';
import type { CredentialKeeper } from './credential-keeper.ts';
import { storedCredentials } from './credential-store.ts';
import type { Credential } from './credential.ts';
import { memoryKeeper } from './testing.ts';

const KEEPERS: Record<string, () => Promise<CredentialKeeper>> = {
  'in memory': async () => memoryKeeper(),
  'in the store': async () => storedCredentials((await testStore()).db),
};

function credential(more: Partial<Credential> = {}): Credential {
  const ends = { expiresAtMs: null, revokedAtMs: null, identity: null };
  return {
    id: 'tok_1',
    kind: 'token',
    tokenId: null,
    name: 'n',
    user: 'ada',
    roles: ['viewer'],
    projects: null,
    createdAtMs: 1_000,
    ...ends,
    ...more,
  };
}

describe.each(Object.entries(KEEPERS))('credentials %s', (_where, keeperOf) => {
  test('what was added is found by its hash and its id, whole', async () => {
    const keeper = await keeperOf();
    const one = credential({ expiresAtMs: 5_000, roles: ['viewer', 'approver'], projects: ['shop', 'docs'] });
    const session = credential({ id: 'tok_2', kind: 'session', tokenId: 'tok_1' });
    await keeper.add(one, 'hash-1');
    await keeper.add(session, 'hash-2');
    expect(await keeper.byHash('hash-1')).toEqual(one);
    expect(await keeper.byHash('hash-2')).toEqual(session);
    expect(await keeper.byHash('hash-3')).toBeNull();
    expect(await keeper.byId('tok_2')).toEqual(session);
    expect(await keeper.byId('tok_3')).toBeNull();
  });

  test('of many who revoke at once, one did it', async () => {
    const keeper = await keeperOf();
    await keeper.add(credential(), 'hash-1');
    const outcomes = await Promise.all(Array.from({ length: 8 }, (_one, i) => keeper.revoke('tok_1', 2_000 + i)));
    expect(outcomes.filter(Boolean)).toHaveLength(1);
    expect(await keeper.revoke('tok_9', 2_000)).toBe(false);
    expect(await keeper.byHash('hash-1')).not.toMatchObject({ revokedAtMs: null });
  });

  test('tokens are listed newest first, sessions and codes are not', async () => {
    const keeper = await keeperOf();
    await keeper.add(credential({ id: 'a' }), '1');
    await keeper.add(credential({ id: 'b', createdAtMs: 2_000 }), '2');
    await keeper.add(credential({ id: 'c', kind: 'session' }), '3');
    expect((await keeper.tokens()).map(({ id }) => id)).toEqual(['b', 'a']);
  });

  const job = {
    name: 'actions',
    issuer: 'https://ci.example',
    subject: 'repo:team/shop',
    commit: 'c'.repeat(40),
    ref: null,
    run: null,
  };

  test('sessions, codes and tokens of jobs that ended are forgotten, other tokens stay for the record', async () => {
    const keeper = await keeperOf();
    await keeper.add(credential({ id: 'a', revokedAtMs: 1_500 }), 'token');
    await keeper.add(credential({ id: 'b', kind: 'session', expiresAtMs: 2_000 }), 'ended');
    await keeper.add(credential({ id: 'c', kind: 'code', expiresAtMs: 9_000, revokedAtMs: 2_000 }), 'spent');
    await keeper.add(credential({ id: 'd', kind: 'session', expiresAtMs: 9_000 }), 'alive');
    await keeper.add(credential({ id: 'e', identity: job, expiresAtMs: 2_000 }), 'over');
    await keeper.add(credential({ id: 'f', identity: job, expiresAtMs: 9_000 }), 'job');
    await keeper.forget(3_000);
    const hashes = ['token', 'ended', 'spent', 'alive', 'over', 'job'];
    const left = await Promise.all(hashes.map((hash) => keeper.byHash(hash)));
    expect(left.map((found) => found?.id ?? null)).toEqual(['a', null, null, 'd', null, 'f']);
    expect(left.at(-1)?.identity).toEqual(job);
  });
});
