import { expect, test } from 'vitest';

import { credentialOf, type CredentialDeps } from './repository-credential.ts';

const deps: CredentialDeps = {
  secretOf: (reference) => Promise.resolve(SECRETS[reference] ?? ''),
  appToken: (apiBase, installation) => Promise.resolve(`${apiBase} ${JSON.stringify(installation)}`),
};
const SECRETS: Record<string, string> = {
  'env:TOKEN': 'canary-token',
  'env:BOTH': 'ana:canary:word',
  'env:API_TOKEN': 'ana@example.com:ATATT-canary',
};

test.each([
  ['https://git.example/shop', null, 'x-access-token'],
  ['https://github.com/team/shop.git', null, 'x-access-token'],
  ['https://gitlab.com/team/shop.git', null, 'oauth2'],
  ['https://git.example/team/shop.git', 'gitlab', 'oauth2'],
  ['https://codeberg.org/team/shop.git', null, 'x-access-token'],
  ['https://bitbucket.org/team/shop.git', null, 'x-token-auth'],
])('over http a secret is a token, or a user and a password: %s', async (url, host, username) => {
  const both = { kind: 'basic', username: 'ana', password: 'canary:word' };
  expect(await credentialOf({ url, host }, 'env:TOKEN', deps)).toEqual({
    kind: 'basic',
    username,
    password: 'canary-token',
  });
  expect(await credentialOf({ url, host }, 'env:BOTH', deps)).toEqual(both);
});

test('what only the API wants to know of a person, git is not told', async () => {
  expect(await credentialOf({ url: 'https://bitbucket.org/team/shop', host: null }, 'env:API_TOKEN', deps)).toEqual({
    kind: 'basic',
    username: 'x-bitbucket-api-token-auth',
    password: 'ATATT-canary',
  });
});

test('a token of Bitbucket Data Center is a bearer', async () => {
  const repository = { url: 'https://git.example/scm/team/shop.git', host: 'bitbucket-dc' };
  expect(await credentialOf(repository, 'env:TOKEN', deps)).toEqual({ kind: 'bearer', token: 'canary-token' });
});

test('a GitHub App gives a token of its installation, at the API of its own server', async () => {
  const app = 'github-app:12:345:file:/etc/towpath/app.pem';
  const installation = { appId: '12', installationId: '345', key: 'file:/etc/towpath/app.pem' };
  for (const [url, host, base] of [
    ['https://github.com/team/shop', null, 'https://api.github.com'],
    ['https://git.example/team/shop', 'github', 'https://git.example/api/v3'],
  ] as const)
    expect(await credentialOf({ url, host }, app, deps)).toEqual({
      kind: 'basic',
      username: 'x-access-token',
      password: `${base} ${JSON.stringify(installation)}`,
    });
});

test.each([
  'github-app:12:345',
  'github-app:12:x:file:/key',
  'github-app::345:file:/key',
  'github-app:12:345:github-app:1:2:file:/key',
])('a GitHub App that is not complete is refused: %s', async (reference) => {
  const repository = { url: 'https://github.com/team/shop', host: null };
  await expect(credentialOf(repository, reference, deps)).rejects.toMatchObject({ code: 'source.credential-form' });
});

test('a GitHub App is none for another host', async () => {
  const repository = { url: 'https://gitlab.com/team/shop', host: null };
  await expect(credentialOf(repository, 'github-app:1:2:env:KEY', deps)).rejects.toMatchObject({
    code: 'source.credential-form',
  });
});

test('over ssh the reference is the file of a key, which is not read here', async () => {
  const never = { ...deps, secretOf: (): Promise<string> => Promise.reject(new Error('It was read.')) };
  for (const url of ['git@git.example:team/shop.git', 'ssh://git@git.example/shop'])
    expect(await credentialOf({ url, host: null }, 'file:/etc/towpath/key', never)).toEqual({
      kind: 'ssh',
      keyFile: '/etc/towpath/key',
    });
  await expect(credentialOf({ url: 'git@git.example:shop', host: null }, 'env:KEY', never)).rejects.toMatchObject({
    code: 'source.credential-form',
  });
});
