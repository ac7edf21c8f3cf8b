import { afterEach, beforeEach, expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { slugOf } from '../lib/slug.ts';
import { refreshBySchedule } from './care/care.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const [OLD, NEW] = [sha256('node 22.1'), sha256('node 22.2')];
const words = (digest: string): string => digest.slice(7, 15);

const CONFIG = `
base: { refresh: 7d }
services:
  web: { path: services/web, build: text }
  api: { path: services/api, build: text }
environments:
  preview: { on: { branch: "*" }, ephemeral: { ttl: 1h }, deploy: stage }
  dev: { on: { merge: main }, deploy: stage }
  qa: { on: { merge: main }, gates: [unchanged], deploy: stage }
  prod: { on: { tag: "v*" }, from: qa, deploy: stage }
`;

let world: World;
let head: string;
beforeEach(async () => {
  world = await createWorld('shop', CONFIG, {
    says: { web: 'hello', api: 'api' },
    files: { 'services/web/base': 'node:22' },
    bases: { 'node:22': OLD },
  });
  head = await world.git('rev-parse', 'main');
  await world.live('qa', head);
});
afterEach(() => world.end());

test('a pin stays whatever its reference means, until somebody refreshes it: a new release of the same commit', async () => {
  world.bases['node:22'] = NEW;
  const dry = await world.useCases.bases.refresh({ project: 'shop', dryRun: true }, 'ana');
  const move = { reference: 'node:22', before: OLD, after: NEW, services: ['web'] };
  expect(dry).toEqual({ dryRun: true, moves: [move], same: [], failed: [] });
  expect(await world.useCases.bases.list('shop')).toMatchObject([
    { reference: 'node:22', digest: OLD, by: 'towpath', services: ['web'] },
  ]);
  expect(world.runs('dev')).toEqual({ web: `hello on ${words(OLD)}`, api: 'api' });

  const real = await world.useCases.bases.refresh({ project: 'shop' }, 'ana');
  expect(real).toMatchObject({ dryRun: false, moves: [move] });
  await runs('dev', `hello on ${words(NEW)}`);
  expect(await world.useCases.bases.list('shop')).toMatchObject([{ digest: NEW, by: 'ana' }]);

  const { items } = await world.useCases.releases.list('shop', { limit: 10 });
  expect(items.map(({ commit, names, state }) => ({ commit, names, state }))).toEqual([
    { commit: head, names: ['main'], state: 'ready' },
    { commit: head, names: [], state: 'ready' },
  ]);
  const [after, before] = items.map(({ services }) => new Map(services.map(({ service, key }) => [service, key])));
  expect(after?.get('web')).not.toBe(before?.get('web'));
  expect(after?.get('api')).toBe(before?.get('api'));
  expect(await world.useCases.audit.list({ limit: 9, subject: 'shop' })).toMatchObject({
    items: expect.arrayContaining([expect.objectContaining({ actor: 'ana', action: 'base.refresh', detail: move })]),
  });
});

test('a tag at a commit of before the refresh means what that commit was, and builds nothing that nobody asked for', async () => {
  const next = await world.push({ says: { web: 'next' } });
  await world.live('dev', next);
  world.bases['node:22'] = NEW;
  await world.useCases.bases.refresh({ project: 'shop' }, 'ana');
  await runs('dev', `next on ${words(NEW)}`);
  await world.git('tag', 'v1', head);
  await world.poll();
  await world.live('prod', head);
  expect(world.runs('prod')).toEqual({ web: `hello on ${words(OLD)}`, api: 'api' });
  const { db } = world.house.store;
  expect(await db.selectFrom('artifact').select('key').where('state', '<>', 'built').execute()).toEqual([]);
});

test('where the artifacts must have been tested on a branch, the refusal names the pin; a branch at the commit helps', async () => {
  await world.push({ says: { web: 'more' }, from: 'main', branch: 'feature' });
  world.bases['node:22'] = NEW;
  await world.useCases.bases.refresh({ project: 'shop' }, 'ana');
  const { history } = await until(async () => {
    const qa = await world.environment('qa');
    return qa.history[0]?.state === 'refused' ? qa : null;
  });
  const refused = await world.useCases.promotions.show(history[0]?.id ?? '');
  expect(refused).toMatchObject({ requestedBy: 'ana', automatic: true });
  expect(refused.reasons[0]?.what).toBe(
    `Base images were refreshed, and no branch had the new artifacts of web (web: the pin of node:22 moved: ${OLD} became ${NEW}).`,
  );
  expect(world.runs('qa')).toEqual({ web: `hello on ${words(OLD)}`, api: 'api' });

  await world.git('branch', 'bases', 'main');
  await world.poll();
  await runs(`preview-${slugOf('bases')}`, `hello on ${words(NEW)}`);
  await world.request('qa', 'main');
  await runs('qa', `hello on ${words(NEW)}`);
});

test('a tag that was there before a refresh names what it named', async () => {
  await world.git('tag', 'v1.0.0', 'main');
  await world.poll();
  await world.live('prod', head);
  world.bases['node:22'] = NEW;
  await world.useCases.bases.refresh({ project: 'shop' }, 'ana');
  await runs('dev', `hello on ${words(NEW)}`);
  expect(world.runs('prod')).toEqual({ web: `hello on ${words(OLD)}`, api: 'api' });
  const [tagged, main] = [
    await world.useCases.releases.show('shop', 'v1.0.0'),
    await world.useCases.releases.show('shop', 'main'),
  ];
  expect([tagged.names, main.names]).toEqual([['v1.0.0'], ['main']]);
  expect(main.number).toBeGreaterThan(tagged.number);
});

test('by the schedule pins are asked for when their time has come, once, and by no person', async () => {
  world.bases['node:22'] = NEW;
  await refreshBySchedule(world.house);
  expect(await world.useCases.bases.list('shop')).toMatchObject([{ digest: OLD }]);
  const later = { ...world.house, clock: { ...world.house.clock, now: () => Date.now() + 8 * 86_400_000 } };
  await Promise.all([refreshBySchedule(later), refreshBySchedule(later)]);
  await runs('dev', `hello on ${words(NEW)}`);
  expect(await world.useCases.bases.list('shop')).toMatchObject([{ digest: NEW, by: 'towpath' }]);
  const { items } = await world.useCases.audit.list({ limit: 50 });
  expect(items.filter(({ action }) => action === 'base.refresh')).toMatchObject([{ actor: 'towpath' }]);
  expect((await world.useCases.releases.list('shop', { limit: 9 })).items).toHaveLength(2);
});

test('a registry that does not answer leaves its pin; a reference that nobody has is told', async () => {
  delete world.bases['node:22'];
  const answer = await world.useCases.bases.refresh({ project: 'shop' }, 'ana');
  expect(answer).toMatchObject({ moves: [], same: [], failed: [{ reference: 'node:22' }] });
  expect(answer.failed[0]?.problem.code).toBe('artifact.no-base');
  await expect(world.useCases.bases.refresh({ project: 'shop', reference: 'node:2' }, 'ana')).rejects.toMatchObject({
    code: 'base.unknown',
    what: 'This project has no pin of "node:2". Was node:22 meant?',
  });
});

async function runs(environment: string, web: string): Promise<void> {
  await until(
    async () => (world.runs(environment)['web'] === web ? true : null),
    async () => JSON.stringify(await world.useCases.why('shop', environment), null, 1),
  );
}
