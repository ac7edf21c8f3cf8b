import { afterEach, expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { reconcile } from './care/lost-work.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';
import type { ReleaseView } from './view/release.ts';

const SHOP = `
services:
  node-base: { path: images/node, base: { text: { from: system } }, checks: { unit: { run: node --test, during: build } } }
  system: { path: images/system, base: text }
  web: { path: services/web, build: { text: { from: node-base } } }
  api: { path: services/api, build: { text: { from: node-base } } }
  jobs: { path: services/jobs, build: text }
environments:
  dev: { on: { branch: main }, deploy: stage }
`;

const FILES = {
  'images/node/text': 'node 1',
  'images/system/text': 'system 1',
  'services/web/text': 'web',
  'services/api/text': 'api',
  'services/jobs/text': 'jobs',
};

let world: World;
afterEach(() => world.end());

test('what is built upon a base waits for it as a row, is built once it is there, and alone runs', async () => {
  world = await createWorld('shop', SHOP, { files: FILES });
  expect(await texts()).toEqual({
    api: 'api upon node 1 upon system 1',
    jobs: 'jobs',
    web: 'web upon node 1 upon system 1',
  });

  world.holds.hold('build node 2 upon system 1');
  const commit = await world.push({ files: { 'images/node/text': 'node 2' } });
  await world.holds.reached('build node 2 upon system 1');
  const waiting = await release(commit, 'building');
  expect(statesOf(waiting)).toEqual({
    api: 'building',
    jobs: 'built',
    'node-base': 'building',
    system: 'built',
    web: 'building',
  });
  for (const service of ['web', 'api'])
    expect(await world.engine.state(`build:${keyOf(waiting, service)}:1`)).toEqual({ kind: 'missing' });
  expect(await logOf(waiting, 'web')).toEqual({ lines: ['Waits for what it is built upon: node-base.'], ended: false });
  // also for who looks for lost work, long after
  await world.house.store.db
    .updateTable('artifact')
    .set({ requested_at: new Date(0) })
    .execute();
  await reconcile(world.house, world.engine);
  expect(statesOf(await release(commit, 'building'))).toMatchObject({ api: 'building', web: 'building' });

  world.holds.release('build node 2 upon system 1');
  await release(commit, 'ready');
  await until(async () => ((await texts())['web'] === 'web upon node 2 upon system 1' ? true : null));
  expect(Object.keys(world.runs('dev')).toSorted()).toEqual(['api', 'jobs', 'web']);
  const { artifacts } = await world.useCases.lineage('shop', commit);
  const upon = Object.fromEntries(artifacts.map((one) => [one.service, one.upon.map(({ service }) => service)]));
  expect(upon).toEqual({ api: ['node-base'], jobs: [], 'node-base': ['system'], system: [], web: ['node-base'] });
});

test('what runs upon an old base is told by environment and service, through two levels and for outside images too', async () => {
  world = await createWorld('shop', `${SHOP}  late: { on: manual, accepts: any, deploy: stage }\n`, {
    files: { ...FILES, 'images/system/base': 'debian:12' },
    bases: { 'debian:12': sha256('debian 12.1') },
  });
  const first = await world.git('rev-parse', 'main');
  await world.live('dev', first);
  await world.reaches((await world.request('late', first)).id, 'live');
  const oldOf = async () => {
    const bases = await world.useCases.bases.list('shop');
    return bases.map(({ reference, old }) => [
      reference,
      ...old.map(({ environment, service }) => `${environment} ${service}`),
    ]);
  };
  expect(await oldOf()).toEqual([['node-base'], ['system'], ['debian:12']]);

  const second = await world.push({ files: { 'images/system/text': 'system 2' } });
  await world.live('dev', second);
  expect(await oldOf()).toEqual([
    ['node-base', 'late api', 'late web'],
    ['system', 'late api', 'late web'],
    ['debian:12'],
  ]);
  const [nodeBase] = await world.useCases.bases.list('shop');
  expect(nodeBase).toMatchObject({ kind: 'service', services: ['api', 'web'], by: second, askedAt: null });
  expect(nodeBase?.old[0]?.digest).not.toBe(nodeBase?.digest);

  world.bases['debian:12'] = sha256('debian 12.2');
  await world.useCases.bases.refresh({ project: 'shop' }, 'ana');
  expect((await oldOf()).at(-1)).toEqual(['debian:12', 'dev api', 'dev web', 'late api', 'late web']);
  await until(async () => ((await oldOf()).at(-1)?.length === 3 ? true : null));
  expect((await oldOf()).at(-1)).toEqual(['debian:12', 'late api', 'late web']);
});

test('the key of the base is in the key of what is built upon it: a changed base changes it, another service does not', async () => {
  world = await createWorld('shop', SHOP, { files: FILES });
  const first = await release(await world.git('rev-parse', 'main'), 'ready');
  const other = await release(await world.push({ files: { 'services/jobs/text': 'more jobs' } }), 'ready');
  expect(keyOf(other, 'web')).toBe(keyOf(first, 'web'));
  const below = await release(await world.push({ files: { 'images/system/text': 'system 2' } }), 'ready');
  for (const service of ['system', 'node-base', 'web', 'api'])
    expect(keyOf(below, service)).not.toBe(keyOf(first, service));
  expect(keyOf(below, 'jobs')).toBe(keyOf(other, 'jobs'));
});

test('a base that fails fails what is built upon it, by name; `towpath build` builds them all again', async () => {
  world = await createWorld('shop', SHOP, { files: FILES });
  world.answer = () => ({ kind: 'exited', code: 1 });
  const commit = await world.push({ files: { 'images/node/text': 'node 2' } });
  const failed = await release(commit, 'failed');
  expect(statesOf(failed)).toMatchObject({ 'node-base': 'failed', web: 'failed', api: 'failed', jobs: 'built' });
  expect(failed.problem?.what).toBe(
    '"api" has no artifact: its base service "node-base" has no artifact: the check "unit" failed: it ended with exit code 1.',
  );
  expect(await logOf(failed, 'web')).toEqual({
    lines: [
      'Waits for what it is built upon: node-base.',
      'Failed: its base service "node-base" has no artifact: the check "unit" failed: it ended with exit code 1.',
      expect.stringContaining('shows what it said'),
    ],
    ended: true,
  });
  world.answer = () => ({ kind: 'exited', code: 0 });
  await world.useCases.releases.retry('shop', commit, 'olga');
  expect(statesOf(await release(commit, 'ready'))).toMatchObject({ 'node-base': 'built', web: 'built', api: 'built' });
});

test('a base that nothing is built upon holds up no release, and a moved pin of a base reaches what is built upon it', async () => {
  const [OLD, NEW] = [sha256('old'), sha256('new')];
  const config = SHOP.replace('{ from: node-base } } }\n  api', '{ from: system } } }\n  api').replace(
    '{ text: { from: node-base } }',
    'text',
  );
  const files = { ...FILES, 'images/system/base': 'debian:12' };
  world = await createWorld('shop', config, { files, bases: { 'debian:12': OLD } });
  expect(await texts()).toMatchObject({ web: `web upon system 1 on ${OLD.slice(7, 15)}`, api: 'api' });
  world.answer = () => ({ kind: 'exited', code: 1 });
  const commit = await world.push({ files: { 'images/node/text': 'node 2', 'services/jobs/text': 'more jobs' } });
  await world.live('dev', commit);
  expect(statesOf(await release(commit, 'ready'))).toMatchObject({ jobs: 'built' });

  world.bases['debian:12'] = NEW;
  await world.useCases.bases.refresh({ project: 'shop' }, 'ana');
  await until(async () => ((await texts())['web'] === `web upon system 1 on ${NEW.slice(7, 15)}` ? true : null));
});

/** What runs in `dev`, once it is all there. */
async function texts(): Promise<Record<string, string>> {
  return until(async () => (Object.keys(world.runs('dev')).length === 3 ? world.runs('dev') : null));
}

function release(commit: string, state: ReleaseView['state']): Promise<ReleaseView> {
  return until(async () => {
    const { items } = await world.useCases.releases.list('shop', { limit: 9 });
    return items.find((one) => one.commit === commit && one.state === state) ?? null;
  });
}

function statesOf({ services }: ReleaseView): Record<string, string> {
  return Object.fromEntries(services.map(({ service, state }) => [service, state]));
}

async function logOf({ services }: ReleaseView, service: string) {
  const logId = services.find((one) => one.service === service)?.logId ?? '';
  const { lines, ended } = await world.useCases.logs.read(logId, undefined);
  return { lines, ended };
}

function keyOf({ services }: ReleaseView, service: string): string {
  return services.find((one) => one.service === service)?.key ?? '';
}
