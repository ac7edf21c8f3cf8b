import { expect, test } from 'vitest';

import type { HostApi } from './host-access.ts';
import { HostError } from './hosts/host-error.ts';
import { isPullOpen, pullPrefix } from './pull-request.ts';

const url = 'https://git.example/team/shop.git';

test.each([
  ['github', 'refs/pull/', '/pulls/7', 'open', true],
  ['github', 'refs/pull/', '/pulls/7', 'closed', false],
  ['gitea', 'refs/pull/', '/pulls/7', 'closed', false],
  ['gitlab', 'refs/merge-requests/', '/merge_requests/7', 'opened', true],
  ['gitlab', 'refs/merge-requests/', '/merge_requests/7', 'merged', false],
  ['bitbucket-dc', 'refs/pull-requests/', '/pull-requests/7', 'OPEN', true],
  ['bitbucket-dc', 'refs/pull-requests/', '/pull-requests/7', 'DECLINED', false],
])('%s lists pull requests at %s and says of %s: %s', async (host, prefix, path, state, isOpen) => {
  const asked: string[] = [];
  const repository = { url, host, credential: 'env:TOKEN' };
  expect(pullPrefix(repository)).toBe(prefix);
  expect(await isPullOpen(answering({ state }, asked), repository, 7)).toBe(isOpen);
  expect(asked).toEqual([path]);
});

test('where nobody can say, nothing is taken for closed', async () => {
  const repository = { url, host: 'github', credential: 'env:TOKEN' };
  for (const body of [null, [], {}, { state: 7 }]) expect(await isPullOpen(answering(body), repository, 7)).toBeNull();
  for (const host of ['plain', 'bitbucket'])
    expect(await isPullOpen(answering({ state: 'closed' }), { ...repository, host }, 7)).toBeNull();
  const noToken = failing('host.no-token');
  expect(await isPullOpen(noToken, repository, 7)).toBeNull();
  await expect(isPullOpen(failing('host.unreachable'), repository, 7)).rejects.toMatchObject({
    code: 'host.unreachable',
  });
});

function answering(body: unknown, asked: string[] = []): { api(): HostApi } {
  return {
    api: () => ({
      host: 'any',
      call: ({ path }) => {
        asked.push(path);
        return Promise.resolve({ status: 200, headers: {}, body });
      },
    }),
  };
}

function failing(code: string): { api(): HostApi } {
  const problem = { code, what: 'No.', fix: 'Never.' };
  return { api: () => ({ host: 'any', call: () => Promise.reject(new HostError(problem)) }) };
}
