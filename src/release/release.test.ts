import { expect, test } from 'vitest';

import { nameOf, type Release, type ReleaseService, spansBetween, stateOf } from './release.ts';

const [A, B, C] = ['a', 'b', 'c'].map((letter) => letter.repeat(40)) as [string, string, string];

test('a mix is called by its base and by what it takes from elsewhere, a whole release by its tag or commit', () => {
  expect(nameOf(releaseOf(A, { web: A, api: A }), ['refs/heads/main'])).toBe('aaaaaaa');
  expect(nameOf(releaseOf(A, { web: A, api: A }), ['refs/tags/v1', 'refs/heads/main'])).toBe('v1');
  expect(nameOf({ ...releaseOf(A, { web: A }), edition: 2 }, [])).toBe('aaaaaaa.2');
  expect(nameOf(releaseOf(A, { web: A, api: B, jobs: C }), [])).toBe('aaaaaaa with api of bbbbbbb, jobs of ccccccc');
});

test('a whole release brings one span of commits, a mix one for each origin', () => {
  expect(spansBetween(null, releaseOf(B, { web: B, api: B }))).toEqual([{ from: null, to: B }]);
  expect(spansBetween(releaseOf(A, { web: A, api: A }), releaseOf(B, { web: B, api: B }))).toEqual([
    { from: A, to: B },
  ]);
  expect(spansBetween(releaseOf(A, { web: A, api: A }), releaseOf(B, { web: B, api: C }))).toEqual([
    { from: A, to: B },
    { from: A, to: C },
  ]);
  expect(spansBetween(releaseOf(A, { web: A, api: C }), releaseOf(B, { web: B, api: B, jobs: B }))).toEqual([
    { from: A, to: B },
    { from: C, to: B },
  ]);
  expect(spansBetween(releaseOf(A, {}), releaseOf(B, {}))).toEqual([{ from: A, to: B }]);
});

test('all its artifacts make a release ready, and one that failed makes it failed and says which', () => {
  const part = (service: string, state: ReleaseService['state']) => ({ service, isBase: false, state, problem: null });
  expect(stateOf([part('api', 'built'), part('web', 'built')])).toEqual({ state: 'ready', problem: null });
  expect(stateOf([part('api', 'built'), part('web', 'building')]).state).toBe('building');
  expect(stateOf([part('api', 'building'), part('web', 'failed')])).toMatchObject({
    state: 'failed',
    problem: { code: 'release.build-failed', what: expect.stringContaining('"web"') },
  });
});

test('a base counts only through what is built upon it, unless there is nothing else', () => {
  const [web, base] = [
    { service: 'web', isBase: false, state: 'built', problem: null },
    { service: 'node-base', isBase: true, state: 'failed', problem: null },
  ] as const;
  expect(stateOf([web, base]).state).toBe('ready');
  expect(stateOf([{ ...web, state: 'building' }, base]).state).toBe('building');
  expect(stateOf([base])).toMatchObject({ state: 'failed' });
});

/** Service -> the commit that it comes from. */
function releaseOf(commit: string, parts: Readonly<Record<string, string>>): Release {
  const services = Object.entries(parts).map(([service, from]): ReleaseService => ({
    service,
    isBase: false,
    commit: from,
    key: `${service} ${from}`,
    state: 'built',
    repository: `shop/${service}`,
    builtIn: `shop/${service}`,
    digest: null,
    builtFor: from,
    logId: '',
    problem: null,
    reportUntil: null,
  }));
  return {
    id: '',
    number: 1,
    projectId: '',
    repositoryId: '',
    commit,
    edition: 1,
    mixed: services.some((part) => part.commit !== commit),
    fingerprint: '',
    state: 'ready',
    problem: null,
    createdBy: '',
    createdAt: new Date(0),
    yank: null,
    services,
  };
}
