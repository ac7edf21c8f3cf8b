import fc from 'fast-check';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';

import { type FixedClock, fixedClock } from '../../lib/clock.ts';
import { cases } from '../../lib/testing/cases.ts';
import type { BuildNotice } from '../../notify/notice.ts';
import { forgetNotices, recordNoticesToken, wantNotice } from '../../notify/notice-store.ts';
import { type HostKind, startStandIn, textOf } from '../../notify/testing/stand-in.ts';
import { createHostAccess } from '../../source/host-access.ts';
import type { Store } from '../../store/database.ts';
import { recordEvent } from '../../store/event-store.ts';
import { testStore } from '../../store/testing.ts';
import type { House } from '../house.ts';
import { collectNotices } from './collect.ts';
import { deliverNotices } from './deliver.ts';

const TOKEN = 'canary-of-the-token-for-notices';
const DAY_MS = 86_400_000;
const NEVER = new AbortController().signal;

test('only the newest state of a commit is told, each commit in the order of what happened', async () => {
  const { want, deliver, host } = await outbox('gitea');
  await want(1, 'a', 'pending');
  await want(2, 'b', 'pending');
  await want(3, 'a', 'success');
  await deliver();
  expect(host.log).toEqual(['status towpath/build pending', 'status towpath/build success']);
  expect(host.requests.map(({ line }) => line.at(-1))).toEqual(['b', 'a']);
  await want(4, 'a', 'success');
  await deliver();
  expect(host.requests).toHaveLength(2);
});

test('whatever is wanted and whenever it is told, a host ends at the newest state of each commit', async () => {
  const { want, deliver, host } = await outbox('gitea');
  const steps = fc.array(
    fc.record({ commit: fc.constantFrom('a', 'b'), state: fc.constantFrom(...STATES), tell: fc.boolean() }),
    { minLength: 1, maxLength: 12 },
  );
  let event = 0;
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const newest = new Map<string, string>();
      for (const { commit, state, tell } of all) {
        await want((event += 1), commit, state);
        newest.set(commit, state);
        if (tell) await deliver();
      }
      await deliver();
      for (const [commit, state] of newest) expect(host.last.get(commit)).toBe(state);
    }),
    cases(15),
  );
  expect(host.twice()).toEqual([]);
});

test('while a limit holds nothing is asked of that host, and another is told meanwhile', async () => {
  const { want, deliver, host, clock, second } = await outbox('github');
  host.trouble = () => ({ status: 403, headers: { 'x-ratelimit-remaining': '0', 'retry-after': '600' } });
  await want(1, 'a', 'pending');
  await want(2, 'b', 'pending');
  await second.want(3, 'c', 'pending');
  await deliver();
  expect(host.requests).toHaveLength(1);
  expect(second.host.log).toHaveLength(1);
  host.trouble = undefined;
  clock.advance(590_000);
  await deliver();
  expect(host.requests).toHaveLength(1);
  clock.advance(20_000);
  await deliver();
  expect(host.log).toHaveLength(2);
});

test('a host that is away is asked less and less often, and told everything when it is back', async () => {
  const { want, deliver, host, clock } = await outbox('gitlab');
  host.trouble = () => ({ status: 502 });
  await want(1, 'a', 'pending');
  for (let second = 0; second < 120; second++) {
    await deliver();
    clock.advance(1_000);
  }
  expect(host.requests.length).toBeGreaterThan(4);
  expect(host.requests.length).toBeLessThan(10);
  host.trouble = undefined;
  clock.advance(300_000);
  await deliver();
  expect(host.log).toEqual(['status towpath/build running']);
});

test('a token that is refused is said at the repository, with what to do, until another is named', async () => {
  const { want, deliver, host, store, problem } = await outbox('github');
  host.trouble = () => ({ status: 401, body: { message: `Bad credentials ${TOKEN}` } });
  await want(1, 'a', 'pending');
  await want(2, 'b', 'pending');
  await deliver();
  expect(host.requests).toHaveLength(1);
  const said = await problem();
  expect(said).toMatchObject({ code: 'notify.refused', what: expect.stringContaining('401') as string });
  expect(JSON.stringify(said)).not.toContain(TOKEN);
  host.trouble = undefined;
  await deliver();
  expect(host.requests).toHaveLength(1);
  await recordNoticesToken(store.db, 'r1', 'env:NOTICES', START);
  await deliver();
  expect(host.log).toHaveLength(2);
  expect(await problem()).toBeNull();
});

test('a commit that the host refuses is given up with an event, and holds up no other', async () => {
  const { want, deliver, host, events } = await outbox('github');
  host.commits.add('b'.padStart(40, '0'));
  await want(1, 'a', 'pending');
  await want(2, 'b', 'pending');
  await deliver();
  expect(host.log).toEqual(['status towpath/build pending']);
  expect(await events()).toMatchObject([{ kind: 'notice.dropped', data: { context: 'towpath/build' } }]);
  await deliver();
  expect(host.requests).toHaveLength(2);
});

test('after three days in vain everything that old is given up, in one event', async () => {
  const { want, deliver, host, clock, events } = await outbox('gitea');
  host.trouble = () => ({ status: 403 });
  for (let event = 1; event <= 20; event++) await want(event, `a${event}`, 'pending');
  for (let hour = 0; hour < 80; hour++) {
    await deliver();
    clock.advance(3_600_000);
  }
  expect(await events()).toMatchObject([{ kind: 'notice.given-up', data: { count: 20 } }]);
  host.trouble = undefined;
  await want(21, 'b', 'pending');
  await deliver();
  expect(host.log).toHaveLength(1);
});

test('two workers at once tell each thing once', async () => {
  const { want, deliver, host } = await outbox('gitea');
  for (let event = 1; event <= 10; event++) await want(event, `a${event}`, 'pending');
  await Promise.all([deliver(), deliver(), deliver()]);
  expect(host.log).toHaveLength(10);
});

test('what a worker died with is told by another when its lease is over', async () => {
  const { want, deliver, host, store, clock } = await outbox('gitea');
  await want(1, 'a', 'pending');
  await store.db
    .updateTable('repository')
    .set({ notices_at: new Date(START + 30_000) })
    .execute();
  await deliver();
  expect(host.log).toEqual([]);
  clock.advance(30_000);
  await deliver();
  expect(host.log).toHaveLength(1);
});

test('another token that is named meanwhile counts at once: who tells with the old one says and asks nothing more', async () => {
  const { want, deliver, host, store, house, problem } = await outbox('gitea');
  await want(1, 'a', 'pending');
  await want(2, 'b', 'pending');
  const api: House['hosts']['api'] = (repository, reference) => {
    const real = house.hosts.api(repository, reference);
    if (real === null) return null;
    const call: typeof real.call = async (request) => {
      const answer = await real.call(request);
      await recordNoticesToken(store.db, 'r1', 'env:other', START);
      return answer;
    };
    return { ...real, call };
  };
  await deliverNotices({ ...house, hosts: { ...house.hosts, api } }, NEVER);
  expect(host.requests).toHaveLength(1);
  expect(await problem()).toBeNull();
  await deliver();
  expect(host.log).toHaveLength(2);
});

test('without a token events are passed over, and rows that are old and told go', async () => {
  const { want, deliver, store, clock, house } = await outbox('gitea');
  await want(1, 'a', 'success');
  await deliver();
  await want(2, 'b', 'success');
  clock.advance(100 * DAY_MS);
  await forgetNotices(store.db, clock.now() - 90 * DAY_MS);
  expect(await store.db.selectFrom('notice').select('event_id').execute()).toEqual([{ event_id: 2 }]);
  await store.db.updateTable('repository').set({ notices: null }).execute();
  for (let count = 0; count < 300; count++) await recordEvent(store.db, { projectId: 'p', kind: 'x.y', subject: 's' });
  await collectNotices(house);
  const last = await store.db.selectFrom('event').select('id').orderBy('id', 'desc').limit(1).execute();
  expect(await store.db.selectFrom('notice_cursor').select('event_id as id').execute()).toEqual(last);
});

const START = Date.UTC(2030, 0, 1);
const STATES = ['pending', 'success', 'failure'] as const;

/** Two repositories of one kind of host, on real Postgres, with the hosts' stand-ins over real HTTP. */
async function outbox(kind: HostKind) {
  const store = await testStore();
  const clock = fixedClock(START);
  await store.db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  const [host, other] = [await watched(kind), await watched(kind)];
  for (const [id, { repository }] of [['r1', host] as const, ['r2', other] as const])
    await store.db
      .insertInto('repository')
      .values({ id, project_id: 'p', url: repository, host: kind, notices: `env:${id}`, default_branch: 'main' })
      .execute();
  const house = houseOf(store, clock);
  const want = (repositoryId: string) => (event: number, commit: string, state: BuildNotice['state']) =>
    wantNotice(store.db, wish(repositoryId, event, commit, state), clock.now());
  return {
    store,
    clock,
    host,
    house,
    want: want('r1'),
    second: { host: other, want: want('r2') },
    deliver: () => deliverNotices(house, NEVER),
    problem: async () =>
      (await store.db.selectFrom('repository').select('notices_error as it').where('id', '=', 'r1').execute())[0]?.it,
    events: () => store.db.selectFrom('event').select(['kind', 'data']).orderBy('id').execute(),
  };
}

function wish(repositoryId: string, eventId: number, commit: string, state: BuildNotice['state']) {
  const notice: BuildNotice = {
    about: 'build',
    commit: commit.padStart(40, '0'),
    ref: 'refs/heads/main',
    state,
    description: `It is ${state}.`,
    url: 'https://towpath.example/#project=shop&why=%231',
  };
  return { repositoryId, key: `build:${commit}`, environmentId: null, eventId, notice };
}

/** A stand-in that remembers what it shows of each commit, and what it was told twice in a row. */
async function watched(kind: HostKind) {
  const host = await startStandIn(kind, TOKEN);
  onTestFinished(() => host.close());
  const last = new Map<string, string>();
  const twice: string[] = [];
  host.trouble = ({ path, body }) => {
    const commit = /0([a-z])$/.exec(path)?.[1];
    if (commit === undefined) return undefined;
    if (last.get(commit) === body['state']) twice.push(commit);
    last.set(commit, textOf(body, 'state'));
    return undefined;
  };
  return Object.assign(host, { last, twice: () => twice });
}

/** What the outbox needs of a house. */
function houseOf(store: Store, clock: FixedClock): House {
  const hosts = createHostAccess({ clock, secretOf: () => Promise.resolve(TOKEN), wait: () => Promise.resolve() });
  const settings = { platform: 'linux/amd64', firstPort: 7100, page: 'https://towpath.example', artifactDays: 30 };
  return { store, clock, hosts, settings, log: pino({ level: 'silent' }) } as Partial<House> as House;
}
