import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { sha256 } from '../../../lib/digest.ts';
import { TowpathError } from '../../../lib/error.ts';
import type { DeployDriver, Desired, Target } from '../../driver.ts';
import { judge } from '../../judge.ts';
import { describeDriver } from '../../testing/conformance.ts';
import { gitopsUnderTest } from '../../testing/manifest-machine.ts';
import { GitopsConfig, gitopsStatement } from '../config.ts';
import { REQUEST_HOSTS, REQUEST_TOKEN, type RequestHostKind } from '../testing/request-host.ts';
import { ownBranch, ownBranches } from './own-branch.ts';

describe('requests that are merged at once', () => {
  describeDriver(gitopsStatement, async () => {
    const under = await gitopsUnderTest(undefined, 'gitlab');
    const ways = ['merge', 'squash', 'rebase'] as const;
    under.host.onOpened = (request) => void under.host.merge(request, ways[request.number % ways.length]);
    return under;
  });
});

/** Another server took the work over: as after a kill, nothing is tidied up. */
const LOST = new TowpathError({ code: 'lane.lost', what: 'It was taken over.', fix: 'Nothing.' });

type Under = Awaited<ReturnType<typeof gitopsUnderTest>>;

let token = 0n;
let targets = 0;

/** A place with one file, `<environment>/web.yaml`, and short words for what a test does with it. */
async function place(under: Under, kind: RequestHostKind, more: Partial<Record<keyof GitopsConfig, unknown>> = {}) {
  const { repository, host } = under;
  const target: Target = { project: 'shop', environment: `prod-${++targets}`, slug: 'prod' };
  const file = `${target.environment}/web.yaml`;
  await repository.commit({ files: { [file]: 'image: shop/web:v0 # by hand\nnote: one\n' } });
  const lines: string[] = [];
  const desiredOf = (
    version: string,
    with_: Partial<Record<keyof GitopsConfig, unknown>> = {},
  ): Desired<GitopsConfig> => ({
    target,
    config: GitopsConfig.parse({
      repository: repository.url,
      host: kind,
      credential: 'env:TOKEN',
      request: true,
      services: { web: [{ file, image: 'image' }] },
      ...more,
      ...with_,
    }),
    operation: `promotion-${version}`,
    promotion: {
      number: 12,
      release: version,
      commit: 'c'.repeat(40),
      evidence: ['unit passed e1'],
      url: 'https://towpath.example/#why',
    },
    services: [
      {
        service: 'web',
        image: 'registry.test/shop/web',
        digest: sha256(version),
        tag: version,
        env: {},
        secrets: {},
        replicas: 1,
        limits: {},
      },
    ],
  });
  const begin = (desired: Desired<GitopsConfig>, driver: DeployDriver = under.restart()) => {
    const stop = new AbortController();
    const context = { log: (line: string) => void lines.push(line), signal: stop.signal, token: ++token };
    const ended = driver
      .observe(target)
      .then((observed) => driver.apply(desired, driver.plan(desired, observed), context));
    ended.catch(() => undefined);
    return { ended, stop };
  };
  const before = host.requests.length;
  const mine = () => host.requests.slice(before);
  return {
    target,
    file,
    lines,
    desiredOf,
    begin,
    deploy: (desired: Desired<GitopsConfig>) => begin(desired).ended,
    /** Those of this place. */
    requests: mine,
    /** Until one is open, as the host shows it and the log tells. */
    opened: async (count = 1) => {
      await expect.poll(() => mine().length).toBe(count);
      await expect.poll(() => lines.filter((line) => line.startsWith('waits for ')).length).toBe(count);
      return host.last();
    },
    /** Those that are left of this place. */
    branches: async () =>
      repository.git('for-each-ref', '--format=%(refname:short)', `refs/heads/${ownBranches(target)}`),
    main: () => repository.git('cat-file', 'blob', `main:${file}`),
    observed: () => under.restart().observe(target),
  };
}

describe.each(REQUEST_HOSTS)('at %s', (kind) => {
  let under: Under;
  beforeAll(async () => {
    under = await gitopsUnderTest(undefined, kind);
  });
  afterAll(() => under.dispose());

  test('it is opened once, says what it is, is waited for, and merged it is done', async () => {
    const { deploy, desiredOf, opened, observed, branches, main, lines, requests } = await place(under, kind);
    const desired = desiredOf('v1');
    const done = deploy(desired);
    const request = await opened();
    expect(request).toMatchObject({ head: ownBranch(desired.target, desired.operation), base: 'main' });
    expect(request.title).toBe(`${desired.target.environment}: web v1`);
    for (const part of ['Promotion 12', sha256('v1'), 'unit passed e1', 'https://towpath.example/#why'])
      expect(request.body).toContain(part);
    expect(judge(desired, await observed())).toMatchObject({ kind: 'wrong' });
    expect((await observed()).services['web']?.told).toMatchObject({
      isGood: false,
      says: expect.stringMatching(/^waits for http\S+ to be merged$/) as string,
    });
    expect(await main()).toContain('shop/web:v0');
    await under.host.merge(request);
    await done;
    expect(await main()).toBe(`image: shop/web@${sha256('v1')} # by hand\nnote: one`);
    expect(judge(desired, await observed())).toEqual({ kind: 'good' });
    expect(await branches()).toBe('');
    expect(requests()).toHaveLength(1);
    expect(lines.join('\n')).not.toContain(REQUEST_TOKEN);
  });

  test('closed without a merge it fails, and says which', async () => {
    const { deploy, desiredOf, opened, branches, main } = await place(under, kind);
    const done = deploy(desiredOf('v1'));
    under.host.close(await opened());
    await expect(done).rejects.toMatchObject({
      code: 'gitops.request-closed',
      what: expect.stringContaining('http') as string,
    });
    expect(await branches()).toBe('');
    expect(await main()).toContain('shop/web:v0');
  });

  test('a newer promotion closes the older one, whoever opened that', async () => {
    const { begin, desiredOf, opened, requests, lines, branches } = await place(under, kind);
    const older = begin(desiredOf('v1'));
    await opened();
    older.stop.abort(LOST);
    await expect(older.ended).rejects.toThrow();
    const newer = begin(desiredOf('v2'));
    await under.host.merge(await opened(2));
    await newer.ended;
    expect(requests().map(({ state }) => state)).toEqual(['closed', 'merged']);
    expect(lines.join('\n')).toMatch(/http\S+ is closed: promotion 12 takes its place/);
    expect(await branches()).toBe('');
  });
});

describe('requests', () => {
  let under: Under;
  beforeAll(async () => {
    under = await gitopsUnderTest(undefined, 'github');
  });
  afterEach(() => {
    under.host.trouble = undefined;
    under.host.onOpened = undefined;
  });
  afterAll(() => under.dispose());
  const here = (more: Partial<Record<keyof GitopsConfig, unknown>> = {}) => place(under, 'github', more);

  test.each(['merge', 'squash', 'rebase'] as const)(
    'a %s counts, though others commit before and after it',
    async (how) => {
      const { deploy, desiredOf, opened, main } = await here();
      const done = deploy(desiredOf('v1'));
      const request = await opened();
      await under.repository.commit({ files: { 'notes.md': `before ${how}` } });
      await under.host.merge(request, how);
      await under.repository.commit({ files: { 'notes.md': `after ${how}` } });
      await done;
      expect(await main()).toContain(sha256('v1'));
    },
  );

  test('killed between the push and the opening, it is opened once', async () => {
    const { desiredOf, begin, opened, requests, branches, target } = await here();
    const desired = desiredOf('v1');
    const driver = under.restart();
    const actions = driver.plan(desired, await driver.observe(target));
    const context = { log: () => undefined, signal: new AbortController().signal, token: ++token };
    await driver.apply(
      desired,
      actions.filter(({ kind }) => kind !== 'request'),
      context,
    );
    expect(await branches()).toBe(ownBranch(target, desired.operation));
    expect(requests()).toEqual([]);
    const again = begin(desired);
    await under.host.merge(await opened());
    await again.ended;
    expect(requests()).toHaveLength(1);
  });

  test('opened with nobody there to hear it, it is found again by its branch', async () => {
    const { begin, desiredOf, opened, requests } = await here();
    under.host.trouble = ({ method, path }) => (method === 'POST' && path === '/pulls' ? 'unheard' : undefined);
    const { ended } = begin(desiredOf('v1'));
    await under.host.merge(await opened());
    await ended;
    expect(requests()).toHaveLength(1);
  });

  test('a host that asks to be left alone is left alone, and git tells that it was merged', async () => {
    const { begin, desiredOf, opened, main } = await here();
    const { ended } = begin(desiredOf('v1'));
    const request = await opened();
    let refused = 0;
    under.host.trouble = () => {
      refused += 1;
      return { status: 429, headers: { 'retry-after': '3600' }, body: { message: 'slow down' } };
    };
    await expect.poll(() => refused).toBe(1);
    await under.host.merge(request);
    await ended;
    expect(refused).toBe(1);
    expect(await main()).toContain(sha256('v1'));
  });

  test('where others change the same file it is written anew, and nowhere else', async () => {
    const { begin, desiredOf, opened, main, file, target } = await here();
    const { ended } = begin(desiredOf('v1'));
    const request = await opened();
    const tip = () => under.repository.git('rev-parse', ownBranch(target, 'promotion-v1'));
    const first = await tip();
    const calls = under.host.calls.length;
    await under.repository.commit({ files: { 'notes.md': 'elsewhere' } });
    await expect.poll(() => under.host.calls.length).toBeGreaterThan(calls + 2);
    expect(await tip()).toBe(first);
    await under.repository.commit({ files: { [file]: 'image: shop/web:hotfix # by hand\nnote: two\n' } });
    await expect.poll(tip).not.toBe(first);
    await under.host.merge(request);
    await ended;
    expect(await main()).toBe(`image: shop/web@${sha256('v1')} # by hand\nnote: two`);
  });

  test('what people commit onto its branch is theirs, and merged with it', async () => {
    const { begin, desiredOf, opened, main, file, target } = await here();
    const { ended } = begin(desiredOf('v1'));
    const request = await opened();
    const own = ownBranch(target, 'promotion-v1');
    const ours = await under.repository.git('cat-file', 'blob', `${own}:${file}`);
    await under.repository.commit({
      branch: own,
      files: { [file]: `${ours.replace('note: one', 'note: reviewed')}\n` },
      message: 'theirs',
    });
    await under.repository.commit({ files: { 'notes.md': 'meanwhile' } });
    await under.host.merge(request, 'squash');
    await ended;
    expect(await main()).toBe(`image: shop/web@${sha256('v1')} # by hand\nnote: reviewed`);
  });

  test('merged with other images than those of the promotion, it fails', async () => {
    const { begin, desiredOf, opened, file } = await here();
    const { ended } = begin(desiredOf('v1'));
    const request = await opened();
    await under.repository.commit({
      branch: request.head,
      files: { [file]: 'image: shop/web:other\n' },
      message: 'theirs',
    });
    await under.host.merge(request);
    await expect(ended).rejects.toMatchObject({ code: 'gitops.overwritten' });
  });

  test('what stands there already asks nobody, and closes what an earlier promotion asked for', async () => {
    const { begin, deploy, desiredOf, opened, requests, main } = await here();
    const first = begin(desiredOf('v1'));
    await under.host.merge(await opened());
    await first.ended;
    const second = begin(desiredOf('v2'));
    await opened(2);
    second.stop.abort(LOST);
    await expect(second.ended).rejects.toThrow();
    await deploy({ ...desiredOf('v1'), operation: 'back' });
    expect(requests().map(({ state }) => state)).toEqual(['merged', 'closed']);
    expect(await main()).toContain(sha256('v1'));
  });

  test('called off, it is closed', async () => {
    const { begin, desiredOf, opened, requests, branches } = await here();
    const { ended, stop } = begin(desiredOf('v1'));
    await opened();
    stop.abort(new Error('off'));
    await expect(ended).rejects.toThrow();
    expect(requests().map(({ state }) => state)).toEqual(['closed']);
    expect(await branches()).toBe('');
  });

  test('where it cannot be written any more it is closed, and says why', async () => {
    const { begin, desiredOf, opened, requests, file } = await here();
    const { ended } = begin(desiredOf('v1'));
    await opened();
    await under.repository.commit({ files: { [file]: null } });
    await expect(ended).rejects.toMatchObject({ code: 'gitops.no-file' });
    expect(requests().map(({ state }) => state)).toEqual(['closed']);
  });

  test('after its time it is closed, and that is said', async () => {
    const { begin, desiredOf, requests } = await here({ request: { within: '300ms' } });
    await expect(begin(desiredOf('v1')).ended).rejects.toMatchObject({
      code: 'gitops.request-timeout',
      what: expect.stringMatching(/Nobody merged .* within 300ms/) as string,
    });
    expect(requests().map(({ state }) => state)).toEqual(['closed']);
  });

  test('the time runs on over a restart', async () => {
    const { begin, desiredOf, opened } = await here();
    const first = begin(desiredOf('v1'));
    await opened();
    first.stop.abort(LOST);
    await expect(first.ended).rejects.toThrow();
    await under.store.db
      .updateTable('manifest_write')
      .set({ first_at: new Date(Date.now() - 8 * 86_400_000) })
      .execute();
    await expect(begin(desiredOf('v1')).ended).rejects.toMatchObject({ code: 'gitops.request-timeout' });
  });

  test('an environment that ends, or is pushed to from now on, leaves none open', async () => {
    const { begin, desiredOf, deploy, opened, requests, branches, main } = await here();
    const { ended, stop } = begin(desiredOf('v1'));
    await opened();
    stop.abort(LOST);
    await expect(ended).rejects.toThrow();
    await deploy(desiredOf('v2', { request: false }));
    expect(requests().map(({ state }) => state)).toEqual(['closed']);
    expect(await branches()).toBe('');
    expect(await main()).toContain(sha256('v2'));
  });

  test('without a token, or at a host that it cannot ask, nothing is written', async () => {
    const { deploy, desiredOf, branches } = await here();
    under.host.trouble = () => ({ status: 401, body: { message: 'Bad credentials' } });
    await expect(deploy(desiredOf('v1'))).rejects.toMatchObject({ code: 'host.denied' });
    under.host.trouble = undefined;
    await expect(deploy(desiredOf('v1', { credential: undefined }))).rejects.toMatchObject({ code: 'gitops.no-token' });
    await expect(deploy(desiredOf('v1', { host: 'plain' }))).rejects.toMatchObject({ code: 'gitops.no-requests' });
    expect(await branches()).toBe('');
  });
});
