import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';

import { systemClock } from '../lib/clock.ts';
import { cases } from '../lib/testing/cases.ts';
import { createHostAccess } from '../source/host-access.ts';
import type { Shown } from './channel.ts';
import { channelOf, channels } from './channels.ts';
import type { BuildNotice, DeploymentNotice, Notice } from './notice.ts';
import { tell } from './tell.ts';
import { HOST_KINDS, type HostKind, startStandIn } from './testing/stand-in.ts';
import type { Verdict } from './verdict.ts';

const TOKEN = 'canary-of-the-token-for-notices';
const COMMIT = '4f2a91c0'.repeat(5);
const PAGE = 'https://towpath.example/#project=shop&why=%2312';

const build = (more: Partial<BuildNotice> = {}): BuildNotice => ({
  about: 'build',
  commit: COMMIT,
  ref: 'refs/heads/main',
  state: 'pending',
  description: 'Release #12: builds web.',
  url: PAGE,
  ...more,
});

const deployment = (more: Partial<DeploymentNotice> = {}): DeploymentNotice => ({
  about: 'deployment',
  commit: COMMIT,
  ref: 'refs/heads/main',
  promotion: 'pro_1',
  environment: 'qa',
  preview: false,
  state: 'pending',
  description: 'Release #12 is being brought in.',
  url: 'https://towpath.example/#project=shop&why=promotion+7',
  environmentUrl: null,
  ...more,
});
const live = deployment({ state: 'success', environmentUrl: 'https://qa.example' });

/** The words of each host for the same things. */
const WORDS: Record<HostKind, { readonly [Of in 'pending' | 'success' | 'failure']: string } & { deploys: boolean }> = {
  github: { pending: 'pending', success: 'success', failure: 'failure', deploys: true },
  gitlab: { pending: 'running', success: 'success', failure: 'failed', deploys: true },
  gitea: { pending: 'pending', success: 'success', failure: 'failure', deploys: false },
  bitbucket: { pending: 'INPROGRESS', success: 'SUCCESSFUL', failure: 'FAILED', deploys: false },
  'bitbucket-dc': { pending: 'INPROGRESS', success: 'SUCCESSFUL', failure: 'FAILED', deploys: false },
};

test('every channel is one of a host that the stand-ins know', () => {
  expect(channels.map(({ name }) => name).toSorted()).toEqual(HOST_KINDS.toSorted());
});

describe.each(HOST_KINDS.map((kind) => ({ kind })))('$kind', ({ kind }) => {
  const words = WORDS[kind];
  const promotion = (state: 'pending' | 'success' | 'failure'): string =>
    words.deploys
      ? `deployment qa ${kind === 'github' && state === 'pending' ? 'in_progress' : words[state]}`
      : `status towpath/qa ${words[state]}`;

  test('a build is pending, then green or red, under one name that never changes', async () => {
    const host = await teller(kind);
    await host.told(build(), build({ state: 'failure', description: 'Release #12: "web" has no artifact.' }));
    await host.told(build({ state: 'success', description: 'Release #12: built web.' }));
    const { pending, success, failure } = words;
    expect(host.log).toEqual([pending, failure, success].map((word) => `status towpath/build ${word}`));
    expect(host.links.get('towpath/build')).toBe(PAGE);
  });

  test('a promotion is under way, then live at its address', async () => {
    const host = await teller(kind);
    await host.told(deployment(), live);
    expect(host.log).toEqual([promotion('pending'), promotion('success')]);
    expect(words.deploys ? host.addresses.get('qa') : host.links.get('towpath/qa')).toBe('https://qa.example');
    expect(host.deployments).toHaveLength(words.deploys ? 1 : 0);
  });

  test('one that was rolled back has failed, and says why', async () => {
    const host = await teller(kind);
    await host.told(deployment(), deployment({ state: 'failure', description: 'Failed at verifying. Rolled back.' }));
    expect(host.log.at(-1)).toBe(promotion('failure'));
  });

  test('what the host shows already is not told again', async () => {
    const host = await teller(kind);
    const shown = await host.told(build(), build());
    await host.told(deployment(), deployment());
    const { length } = host.requests;
    await host.tell(build(), shown);
    expect(host.requests).toHaveLength(length);
    expect(host.log).toHaveLength(2);
  });

  test('what was never told, and is over, is not told at all', async () => {
    const host = await teller(kind);
    for (const state of ['replaced', 'removed'] as const) await host.told(deployment({ state }));
    expect(host.requests).toEqual([]);
  });

  test('killed between any request and its record, it makes no second deployment, and ends the same', async () => {
    const whole = await teller(kind);
    await whole.told(deployment(), live);
    for (let cut = 1; cut <= whole.records(); cut++) {
      const host = await teller(kind);
      host.killAtRecord(cut);
      let shown: Shown = {};
      for (const notice of [deployment(), live]) {
        // whoever takes over knows what was recorded, and no more
        await host.tell(notice, shown).catch(() => undefined);
        shown = host.recorded();
        await host.tell(notice, shown);
        shown = host.recorded();
      }
      expect(host.deployments.map(({ state }) => state)).toEqual(whole.deployments.map(({ state }) => state));
      expect(host.log.at(-1)).toBe(promotion('success'));
    }
  });

  test('an answer that was lost on its way makes no second deployment either', async () => {
    const host = await teller(kind);
    host.trouble = ({ method }) => (method === 'POST' ? 'unheard' : undefined);
    expect(await host.tell(deployment(), {})).toMatchObject({ kind: 'away' });
    host.trouble = undefined;
    await host.told(deployment(), live);
    expect(host.deployments).toHaveLength(words.deploys ? 1 : 0);
  });

  test('a limit is waited for, until the host says', async () => {
    const host = await teller(kind);
    host.trouble = () => ({ status: 429, headers: { 'retry-after': '120' } });
    const before = Date.now();
    const verdict = await host.tell(build(), {});
    expect(verdict.kind).toBe('wait');
    if (verdict.kind === 'wait') expect(verdict.untilMs - before).toBeGreaterThan(100_000);
  });

  test.each([500, 502, 503, 409])('an answer of %i is one of a host that is away: it is told again', async (status) => {
    const host = await teller(kind);
    host.trouble = () => ({ status });
    expect(await host.tell(build(), {})).toMatchObject({ kind: 'away' });
    host.trouble = undefined;
    expect(await host.tell(build(), {})).toEqual({ kind: 'taken' });
  });

  test('a token that may not is refused in words of the host, with what it has to be allowed', async () => {
    const host = await teller(kind);
    host.trouble = () => ({ status: 403, body: { message: 'Resource not accessible' } });
    const fix = expect.stringContaining(channelOf(kind)?.permission ?? '-') as string;
    const what = expect.stringContaining('403: Resource not accessible') as string;
    const problem = { code: 'notify.refused', what, fix };
    expect(await host.tell(build(), {})).toEqual({ kind: 'refused', everything: true, problem });
    const stranger = await teller(kind, 'another-token');
    expect(await stranger.tell(deployment(), {})).toMatchObject({ kind: 'refused', everything: true });
  });

  test('a commit that the host does not have holds up nothing else', async () => {
    const host = await teller(kind);
    host.commits.add('0'.repeat(40));
    const verdict = await host.tell(build(), {});
    expect(verdict.kind === 'never' || (verdict.kind === 'refused' && !verdict.everything)).toBe(true);
  });

  test('whatever a branch, an environment or a text is called, the host takes it as data', async () => {
    const host = await teller(kind);
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 400 }),
      fc.constantFrom('"; drop', '$(touch x)', 'a\nb\r\nx-y: z', '../../..', '%2e%2e/', '\u{1F6A2}'.repeat(150)),
    );
    const text = hostile.map((word) => `x${word}`);
    await fc.assert(
      fc.asyncProperty(text, text, text, async (environment, ref, description) => {
        host.deployments.length = 0;
        host.log.length = 0;
        const more = { environment, ref: `refs/heads/${ref}`, description };
        for (const notice of [build({ ref: more.ref, description }), deployment(more)])
          expect(await host.tell(notice, {})).toEqual({ kind: 'taken' });
        expect(host.log).toHaveLength(2);
        expect(await host.tell({ ...live, ...more }, host.recorded())).toEqual({ kind: 'taken' });
      }),
      cases(25),
    );
    for (const { line } of host.requests)
      expect(line).toMatch(/^[A-Z]+ [/\w%.-]*\/team(?:\/|%2F|\/repos\/)shop\/[\w/]+(?:\?[\w%&=+.*-]+)?$/);
  });

  test('the token stands in one header, and nowhere else', async () => {
    const host = await teller(kind);
    await host.told(build(), deployment(), live);
    host.trouble = () => ({ status: 403, body: { message: `no ${TOKEN}` } });
    for (const { line, headers } of host.requests) {
      expect(line).not.toContain(TOKEN);
      expect(Object.values(headers).filter((value) => String(value).includes(TOKEN))).toHaveLength(1);
    }
    expect(JSON.stringify(host.recorded())).not.toContain(TOKEN);
  });
});

test('GitHub is told that a deployment is over, and that a preview went with its branch', async () => {
  const host = await teller('github');
  await host.told(live, { ...live, state: 'replaced' });
  expect(host.log).toEqual(['deployment qa success', 'deployment qa inactive']);
});

test('GitLab stops an environment in which nothing runs any more', async () => {
  const host = await teller('gitlab');
  await host.told(live, { ...live, state: 'replaced' }, { ...live, state: 'removed' });
  expect(host.log.slice(1)).toEqual(['deployment qa success', 'environment qa stopped']);
  expect(host.addresses.has('qa')).toBe(false);
});

test('a thousand and first status of a commit is refused by GitHub, and is not told again', async () => {
  const host = await teller('github');
  host.log.push(...Array.from({ length: 1000 }, () => 'status towpath/build pending'));
  const what = expect.stringContaining('422') as string;
  expect(await host.tell(build(), {})).toMatchObject({ kind: 'never', problem: { what } });
});

/** A host over real HTTP, and whoever tells it something with the client of the house. */
async function teller(kind: HostKind, token = TOKEN) {
  const host = await startStandIn(kind, TOKEN);
  onTestFinished(() => host.close());
  const access = createHostAccess({
    clock: systemClock,
    secretOf: () => Promise.resolve(token),
    wait: () => Promise.resolve(),
  });
  const api = access.api({ url: host.repository, host: kind }, 'env:NOTICES');
  const channel = channelOf(kind);
  if (api === null || channel === null) throw new Error(`There is no ${kind}.`);
  let recorded: Shown = {};
  let records = 0;
  let killAt = 0;
  const tellIt = (notice: Notice, shown: Shown): Promise<Verdict> =>
    tell({
      channel,
      notice,
      shown,
      now: () => Date.now(),
      ask: async ({ method, path, body }) => (await api.call({ method, path, body })).body,
      record: async (known) => {
        records += 1;
        if (records === killAt) throw new Error('killed');
        recorded = known;
      },
    });
  return Object.assign(host, {
    tell: tellIt,
    recorded: () => recorded,
    records: () => records,
    killAtRecord: (count: number) => (killAt = count),
    /** One after the other, as rows of the outbox with one key. @returns what is known then */
    async told(...notices: readonly Notice[]): Promise<Shown> {
      recorded = {};
      for (const notice of notices) expect(await tellIt(notice, recorded)).toEqual({ kind: 'taken' });
      return recorded;
    },
  });
}
