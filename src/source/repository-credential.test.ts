import { expect, test } from 'vitest';

import { credentialOf } from './repository-credential.ts';

const secretOf = (reference: string): Promise<string> =>
  Promise.resolve(reference === 'env:TOKEN' ? 'canary-token' : 'ana:canary:word');

test('over http a secret is a token, or a user and a password', async () => {
  expect(await credentialOf('https://git.example/shop', 'env:TOKEN', secretOf)).toEqual({
    kind: 'basic',
    username: 'x-access-token',
    password: 'canary-token',
  });
  expect(await credentialOf('https://git.example/shop', 'env:BOTH', secretOf)).toEqual({
    kind: 'basic',
    username: 'ana',
    password: 'canary:word',
  });
});

test('over ssh the reference is the file of a key, which is not read here', async () => {
  const never = (): Promise<string> => Promise.reject(new Error('It was read.'));
  for (const url of ['git@git.example:team/shop.git', 'ssh://git@git.example/shop'])
    expect(await credentialOf(url, 'file:/etc/towpath/key', never)).toEqual({
      kind: 'ssh',
      keyFile: '/etc/towpath/key',
    });
  await expect(credentialOf('git@git.example:shop', 'env:KEY', never)).rejects.toMatchObject({
    code: 'source.credential-form',
  });
});
