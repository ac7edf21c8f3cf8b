import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';

import { artifactByKey } from '../../artifact/artifact-store.ts';
import { lockBuilt } from '../../artifact/given-up-store.ts';
import { sha256 } from '../../lib/digest.ts';
import { groupBy } from '../../lib/group.ts';
import { cases, within } from '../../lib/testing/cases.ts';
import { releaseById } from '../../release/release-store.ts';
import { unyankRelease } from '../../release/yank-store.ts';
import type { Store } from '../../store/database.ts';
import { testStore } from '../../store/testing.ts';
import { giveUpArtifacts } from './give-up.ts';
import { barredIn, baseOf, type History, historyOf, neededIn, type Step, writeHistory } from './testing/history.ts';

const GRACE_DAYS = 30;
const log = pino({ level: 'silent' });

const [branch, place, release] = [fc.nat({ max: 1 }), fc.nat({ max: 1 }), fc.nat({ max: 9 })];
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('push'),
      branch,
      contents: fc.nat({ max: 5 }),
      ends: fc.constantFrom('ready', 'ready', 'ready', 'failed', 'building'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove'), branch }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('tag', 'pin', 'mix'), release }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('yank'), release }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('attempt'),
      ends: fc.constantFrom('live', 'live', 'live', 'failed', 'refused', 'waiting'),
      place,
      release,
    }),
  },
);

test(
  'whatever happened, exactly that is given up which nothing needs: no ref, tag, pin, mix, build or environment; what is yanked at once, where it is to be deleted',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { minLength: 6, maxLength: 24 }), { minLength: 8, maxLength: 8 }),
        async (all) => {
          const store = await testStore();
          const histories = all.map((steps, index) => historyOf(`p${index}`, steps, index % 2 === 1));
          for (const history of histories) await writeHistory(store.db, history, at(0));
          const house = houseOf(store);
          const left = async (days: number): Promise<Map<string, string[]>> => {
            house.pass(days);
            await giveUpArtifacts(house);
            expect(house.started).toEqual([]);
            return builtByProject(store);
          };
          const needs = (mixes: 'young' | 'old') => (history: History) => {
            // a child that is there keeps its base, and the time of the base begins when it is gone
            const children = mixes === 'young' ? allowed(history) : neededIn(history, 'young');
            const stay = withBases(history, [...children, ...history.building], neededIn(history, mixes));
            return allowed(history).filter((key) => stay.has(key));
          };
          const expectLeft = (found: Map<string, string[]>, wanted: (history: History) => string[]) =>
            expect(histories.map(({ name }) => found.get(name) ?? [])).toEqual(histories.map(wanted));
          await left(0);
          expectLeft(await left(0), allowed); // the base of what was yanked is seen to be alone
          expectLeft(await left(GRACE_DAYS - 1), allowed);
          expectLeft(await left(GRACE_DAYS + 1), needs('young'));
          await left(GRACE_DAYS + 2);
          expectLeft(await left(2 * GRACE_DAYS + 3), needs('old'));
        },
      ),
      cases(2),
    );
  },
  within(600_000),
);

/** What keeps the old of two releases by itself (its artifact of `api`, which nothing else needs), and what ends that. */
const ROOTS: Record<string, (p: string) => { readonly put: string; readonly end: string }> = {
  branch: (p) => ({
    put: `insert into ref (repository_id, name, oid, commit_sha) values ('${p}', 'refs/heads/old', '${p}-000', '${p}-000')`,
    end: `update ref set deleted_at = now() where repository_id = '${p}' and name = 'refs/heads/old'`,
  }),
  tag: (p) => ({
    put: `insert into release_name (release_id, ref) values ('${p}-000', 'refs/tags/v1')`,
    end: `delete from release_name where release_id = '${p}-000' and ref = 'refs/tags/v1'`,
  }),
  current: (p) => ({
    put: `update environment set current_release_id = '${p}-000' where id = '${p}-e0'`,
    end: `update environment set current_release_id = null where id = '${p}-e0'`,
  }),
  window: (p) => ({
    put: `${promotion(p, 'one', '000', 'live')}; ${promotion(p, 'two', '001', 'live')};
      insert into tenure (promotion_id, environment_id, release_id, began_at, ended_at)
        values ('${p}-one', '${p}-e0', '${p}-000', '2025-01-01', '2025-02-01'), ('${p}-two', '${p}-e0', '${p}-001', '2025-02-01', null);
      update environment set current_release_id = '${p}-001' where id = '${p}-e0'`,
    end: `delete from tenure where promotion_id = '${p}-one'`,
  }),
  waiting: (p) => ({
    put: promotion(p, 'one', '000', 'waiting'),
    end: `update promotion set state = 'refused', ended_at = now() where id = '${p}-one'`,
  }),
  previous: (p) => ({
    put: `${promotion(p, 'one', '001', 'deploying')}; update promotion set previous_release_id = '${p}-000' where id = '${p}-one'`,
    end: `update promotion set state = 'live', ended_at = now() where id = '${p}-one'`,
  }),
  last: (p) => ({
    put: promotion(p, 'one', '000', 'failed'),
    end: promotion(p, 'two', '001', 'failed'),
  }),
  runs: (p) => ({
    put: `${promotion(p, 'one', '000', 'refused')}; insert into deployment (environment_id, service, promotion_id, release_id, digest)
      values ('${p}-e0', 'api', '${p}-one', '${p}-000', '${sha256(`${p}-api0`)}')`,
    end: `delete from deployment where environment_id = '${p}-e0'`,
  }),
  pinned: (p) => ({
    put: `insert into base_pin (project_id, reference, digest, pinned_by) values ('${p}', 'base', '${sha256(`${p}-api0`)}', 'Ana')`,
    end: `delete from base_pin where project_id = '${p}'`,
  }),
  making: (p) => ({
    put: `update release set state = 'building', ready_at = null where id = '${p}-000'`,
    end: `update release set state = 'ready', ready_at = now() where id = '${p}-000'`,
  }),
  parent: (p) => ({
    put: `update artifact set depth = 1, inputs = '{"parents":{"api":"${p}-api0"}}' where key = '${p}-api1'`,
    end: `update artifact set depth = 0, inputs = '{}' where key = '${p}-api1'`,
  }),
  under: (p) => ({
    put: `update artifact set state = 'building', digest = null, inputs = '{"parents":{},"pins":{"x":"${sha256(`${p}-api0`)}"}}' where key = '${p}-api1'`,
    end: `update artifact set inputs = '{"parents":{}}' where key = '${p}-api1'`,
  }),
};

test('each thing that needs an artifact keeps it by itself, and its time begins where that ends', async () => {
  const store = await testStore();
  const names = Object.keys(ROOTS);
  for (const name of names) await writeHistory(store.db, historyOf(name, [pushed(0), pushed(1)]), at(0));
  const act = async (what: 'put' | 'end'): Promise<void> => {
    for (const [name, root] of Object.entries(ROOTS)) await store.pool.query(root(name)[what]);
  };
  const house = houseOf(store);
  const left = async (day: number): Promise<string[]> => {
    house.pass(day);
    await giveUpArtifacts(house);
    const built = await builtByProject(store);
    return names.filter((name) => built.get(name)?.includes(`${name}-api0`) === true);
  };
  await act('put');
  expect(await left(0)).toEqual(names);
  expect(await left(GRACE_DAYS + 1)).toEqual(names);
  await act('end');
  expect(await left(GRACE_DAYS + 2)).toEqual(names);
  expect(await left(2 * GRACE_DAYS + 3)).toEqual([]);
});

/** Of the things above those that a yank does not take off. */
const OF_ENVIRONMENTS_AND_BUILDS = ['current', 'waiting', 'previous', 'runs', 'pinned', 'making', 'parent', 'under'];

test('what is yanked and to be deleted goes at the next look, unless an environment, a pin or a build needs it', async () => {
  const store = await testStore();
  const names = Object.keys(ROOTS);
  const steps = [pushed(0), pushed(1), { kind: 'yank' as const, release: 0 }];
  for (const name of names) await writeHistory(store.db, historyOf(name, steps, true), at(0));
  const house = houseOf(store);
  const left = async (what: 'put' | 'end'): Promise<string[]> => {
    for (const root of names) await store.pool.query(ROOTS[root]?.(root)[what] ?? '');
    await giveUpArtifacts(house);
    const built = await builtByProject(store);
    return names.filter((name) => built.get(name)?.includes(`${name}-api0`) === true);
  };
  expect(await left('put')).toEqual(names.filter((name) => OF_ENVIRONMENTS_AND_BUILDS.includes(name)));
  expect(await left('end')).toEqual([]);
  expect(house.started).toEqual([]);
  const artifact = await artifactByKey(store.db, 'tag-api0');
  expect(artifact?.problem?.what).toBe(
    'it was given up on 2026-01-01, for it was yanked on 2026-01-01 (wrong tax) and nothing ran it; `towpath unyank` allows it again and has it built.',
  );
});

test('a yank that is lifted while somebody looks keeps the artifact, which then has its time as any other', async () => {
  const store = await testStore();
  await writeHistory(store.db, historyOf('p', [pushed(0), pushed(1), { kind: 'yank', release: 0 }], true), at(0));
  const house = houseOf(store);
  const release = (await releaseById(store.db, 'p-000')) ?? expect.unreachable();
  let look: Promise<unknown> | undefined;
  await store.transaction(async (tx) => {
    await lockBuilt(
      tx,
      release.services.map(({ key }) => key),
    );
    look = giveUpArtifacts(house);
    await waitsForLock(store);
    await unyankRelease(tx, release);
  });
  await look;
  expect(await artifactByKey(store.db, 'p-api0')).toMatchObject({ state: 'built' });
  await giveUpArtifacts(house);
  expect(await artifactByKey(store.db, 'p-api0')).toMatchObject({ state: 'built' });
  house.pass(GRACE_DAYS + 1);
  await giveUpArtifacts(house);
  expect(await artifactByKey(store.db, 'p-api0')).toMatchObject({ state: 'failed' });
});

test('what was given up says when and why, its release cannot run and says how it comes back, and its digest stays to be read', async () => {
  const { store, house, history, lookOn } = await supersededOnce();
  const [old, newer] = history.releases;
  const [key = ''] = old?.keys ?? [];
  await lookOn(0);
  await lookOn(GRACE_DAYS + 1);
  expect(await artifactByKey(store.db, key)).toMatchObject({
    state: 'failed',
    digest: null,
    problem: {
      code: 'artifact.given-up',
      what: 'it was given up on 2026-02-01, for nothing has needed it since 2026-01-01; `towpath build RELEASE` brings it back.',
    },
  });
  expect(await releaseById(store.db, old?.id ?? '')).toMatchObject({
    state: 'failed',
    problem: { what: expect.stringContaining('"web" has no artifact: it was given up on 2026-02-01') as string },
  });
  expect(await releaseById(store.db, newer?.id ?? '')).toMatchObject({ state: 'ready', problem: null });
  const rows = await store.db.selectFrom('artifact').select(['digest', 'given_up_at']).where('key', '=', key).execute();
  expect(rows).toEqual([{ digest: sha256(key), given_up_at: at(GRACE_DAYS + 1) }]);
  const events = await store.db.selectFrom('event').select(['kind', 'subject']).orderBy('id').execute();
  expect(events).toContainEqual({ kind: 'artifact.given-up', subject: key });
  expect(house.started).toEqual([]);
});

test('what is on the path again is built again, whoever put it there; its time begins anew', async () => {
  const { store, house, history, lookOn } = await supersededOnce();
  const [old] = history.releases;
  await lookOn(0);
  await lookOn(GRACE_DAYS + 1);
  await store.db
    .insertInto('release_name')
    .values({ release_id: old?.id ?? '', ref: 'refs/tags/v1' })
    .execute();
  await lookOn(GRACE_DAYS + 1);
  expect(new Set(house.started)).toEqual(new Set([old?.keys[0], old?.keys[2]]));
});

test('what was needed at one look in between has its whole time again', async () => {
  const { store, history, lookOn } = await supersededOnce();
  const [old] = history.releases;
  const [key = ''] = old?.keys ?? [];
  const tag = { release_id: old?.id ?? '', ref: 'refs/tags/v1' };
  await lookOn(0);
  await store.db.insertInto('release_name').values(tag).execute();
  await lookOn(GRACE_DAYS - 1);
  await store.db.deleteFrom('release_name').where('ref', '=', tag.ref).execute();
  await lookOn(GRACE_DAYS);
  await lookOn(2 * GRACE_DAYS - 1);
  expect(await artifactByKey(store.db, key)).toMatchObject({ state: 'built' });
  await lookOn(2 * GRACE_DAYS + 1);
  expect(await artifactByKey(store.db, key)).toMatchObject({ state: 'failed' });
});

test('of two who give up while somebody asks for a promotion, nothing is given up that the promotion needs', async () => {
  const { store, house, history, lookOn } = await supersededOnce();
  const asked = history.releases[0] ?? expect.unreachable();
  await lookOn(0);
  house.pass(GRACE_DAYS + 1);
  let both: Promise<unknown> | undefined;
  await store.transaction(async (tx) => {
    await tx
      .insertInto('promotion')
      .values({
        id: 'asked',
        project_id: 'p',
        environment_id: 'p-e0',
        release_id: asked.id,
        kind: 'promotion',
        automatic: false,
        requested_by: 'Ana',
        cause: 'asked',
        log_id: 'l',
        state: 'requested',
      })
      .execute();
    both = Promise.all([giveUpArtifacts(house), giveUpArtifacts(house)]);
    await waitsForLock(store);
  });
  await both;
  expect(await releaseById(store.db, asked.id)).toMatchObject({ state: 'ready' });
});

/** All that was built, but for what is yanked, to be deleted, and needed by nothing that a yank does not take off. */
function allowed(history: History): string[] {
  const { built, building } = history;
  const [barred, needed] = [barredIn(history), neededIn(history, 'young')];
  const stay = new Set([...built].filter((key) => !barred.has(key) || needed.has(key)));
  const all = withBases(history, [...stay, ...building], stay);
  return [...built].filter((key) => all.has(key)).toSorted();
}

function withBases(history: History, children: Iterable<string>, keys: Iterable<string>): Set<string> {
  return new Set([...keys, ...[...children].flatMap((key) => baseOf(history, key) ?? [])]);
}

function pushed(contents: number): Step {
  return { kind: 'push', branch: 0, contents, ends: 'ready' };
}

function promotion(p: string, id: string, release: string, state: string): string {
  return `insert into promotion (id, project_id, environment_id, release_id, kind, automatic, requested_by, cause, log_id, state, ended_at)
    values ('${p}-${id}', '${p}', '${p}-e0', '${p}-${release}', 'promotion', false, 'Ana', 'asked', 'l', '${state}',
      ${['waiting', 'deploying'].includes(state) ? 'null' : 'now()'})`;
}

/** A release that another one of its branch has taken the place of. */
async function supersededOnce() {
  const store = await testStore();
  const history = historyOf('p', [pushed(0), pushed(1)]);
  await writeHistory(store.db, history, at(0));
  const house = houseOf(store);
  const lookOn = async (day: number): Promise<void> => {
    house.pass(day);
    await giveUpArtifacts(house);
  };
  return { store, house, history, lookOn };
}

async function builtByProject({ db }: Store): Promise<Map<string, string[]>> {
  const rows = await db.selectFrom('artifact').select(['project_id', 'key']).where('state', '=', 'built').execute();
  const groups = groupBy(rows, ({ project_id: project }) => project);
  return new Map([...groups].map(([project, some]) => [project, some.map(({ key }) => key).toSorted()]));
}

async function waitsForLock(store: Store): Promise<void> {
  await expect
    .poll(
      async () =>
        (
          await store.pool.query(`select from pg_locks join pg_stat_activity using (pid)
            where not granted and locktype in ('transactionid', 'tuple') and datname = current_database()`)
        ).rowCount,
      { timeout: 20_000 },
    )
    .toBeGreaterThan(0);
}

function at(day: number): Date {
  return new Date(Date.UTC(2026, 0, 1 + day));
}

function houseOf(store: Store) {
  const started: string[] = [];
  let now = at(0);
  return {
    started,
    store,
    log,
    clock: { now: () => now.getTime(), elapsed: () => now.getTime() },
    settings: { artifactDays: GRACE_DAYS },
    starts: { build: async (_tx: unknown, key: string) => void started.push(key) },
    pass: (day: number) => void (now = at(day)),
  };
}
