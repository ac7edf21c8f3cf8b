import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '../../lib/clock.ts';
import { startStandIn } from '../../notify/testing/stand-in.ts';
import { createHostAccess } from '../../source/host-access.ts';
import { createWorld, type World } from '../testing/world.ts';
import { until } from '../testing/until.ts';
import { collectNotices } from './collect.ts';
import { deliverNotices } from './deliver.ts';

const config = `
services:
  web: { path: services/web, build: text }
environments:
  preview: { on: { branch: "feature/*" }, ephemeral: { ttl: 1d }, deploy: stage, settle: 0ms }
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
`;
const TOKEN = 'canary-of-the-token-for-notices';

let world: World;
let host: Awaited<ReturnType<typeof startStandIn>>;

beforeAll(async () => {
  world = await createWorld('told', config, { says: { web: 'hello' } });
  await world.live('qa', await world.git('rev-parse', 'main'));
  host = await startStandIn('github', TOKEN);
  world.env['NOTICES'] = TOKEN;
}, 120_000);

afterAll(async () => {
  await world.end();
  await host.close();
});

test('a host is told nothing until there is a token for it, and nothing of what was before', async () => {
  await tellAll();
  await expect(world.useCases.projects.change(world.project, { notices: 'env:NOTICES' }, 'olga')).rejects.toMatchObject(
    { code: 'notify.no-channel' },
  );
  await expect(
    world.useCases.projects.change(world.project, { host: 'github', notices: 'env:NOWHERE' }, 'olga'),
  ).rejects.toMatchObject({ code: 'secret.missing' });
  const change = { host: 'github', notices: 'env:NOTICES' };
  await world.useCases.projects.change(world.project, change, 'olga');
  await tellAll();
  expect(host.requests).toEqual([]);
  const { repositories } = await world.useCases.projects.show(world.project);
  expect(repositories[0]?.notices).toEqual({ token: 'env:NOTICES', problem: null });
});

test('a push is told as it goes: pending, built, under way, live, and what it took the place of', async () => {
  world.holds.hold('build first');
  const first = await world.push({ says: { web: 'first' } });
  await world.holds.reached('build first');
  await tellAll();
  expect(host.log).toEqual(['status towpath/build pending']);
  world.holds.hold('deploy first');
  world.holds.release('build first');
  await world.holds.reached('deploy first');
  await tellAll();
  expect(host.log.slice(1)).toEqual(['status towpath/build success', 'deployment qa in_progress']);
  world.holds.release('deploy first');
  await world.live('qa', first);
  await tellAll();
  expect(host.log.slice(3)).toEqual(['deployment qa success']);
  await world.live('qa', await world.push({ says: { web: 'second' } }));
  const told = await forgotten(() => tellAll());
  expect(told.toSorted()).toEqual(['deployment qa inactive', 'deployment qa success', 'status towpath/build success']);
  expect(host.deployments.map(({ sha, state }) => [sha === first, state])).toEqual([
    [true, 'inactive'],
    [false, 'success'],
  ]);
});

test('what happened while nobody looked is told once, as it is now', async () => {
  const { length } = host.requests;
  await tellAll();
  expect(host.requests).toHaveLength(length);
  await world.live('qa', await world.push({ says: { web: 'third' } }));
  const told = await forgotten(() => Promise.all([tellAll(), tellAll(), tellAll()]).then(tellAll));
  expect(told.toSorted()).toEqual(['deployment qa inactive', 'deployment qa success', 'status towpath/build success']);
});

test('a failure is told, what ran before stays what runs, and a preview is over with its branch', async () => {
  const broken = await world.push({ says: { web: 'broken' } });
  await world.promotion('qa', broken, 'rolled-back');
  expect(await forgotten(() => tellAll())).toEqual(['status towpath/build success', 'deployment qa failure']);
  await world.live('feature/x', await world.push({ branch: 'feature/x', from: 'main', says: { web: 'seen' } }));
  await tellAll();
  const preview = host.deployments.at(-1);
  expect(preview).toMatchObject({
    state: 'success',
    environment: expect.stringMatching(/^preview-feature-x/) as string,
  });
  await world.git('branch', '-D', 'feature/x');
  await world.poll();
  await until(async () => ((await world.environment('feature/x').catch(() => null)) === null ? true : null));
  await tellAll();
  expect(preview?.state).toBe('inactive');
});

test('the token is in no table and no event', async () => {
  const { rows } = await world.house.store.pool.query<{ text: string }>(
    `select string_agg(query_to_xml('select * from towpath.' || quote_ident(tablename), true, false, '')::text, '') as text
     from pg_tables where schemaname = 'towpath'`,
  );
  expect(rows[0]?.text).toContain('env:NOTICES');
  expect(rows[0]?.text).not.toContain(TOKEN);
});

/** What the host was told while this went on. */
async function forgotten(work: () => Promise<unknown>): Promise<string[]> {
  const { length } = host.log;
  await work();
  return host.log.slice(length);
}

/** As the care of a worker does it, but at once; git stays a folder, and the host is the stand-in. */
async function tellAll(): Promise<void> {
  const { house } = world;
  const access = createHostAccess({ clock: systemClock, secretOf: house.secretOf, wait: () => Promise.resolve() });
  const api: typeof access.api = ({ host: kind }, reference) =>
    access.api({ url: host.repository, host: kind }, reference);
  await collectNotices(house);
  await deliverNotices({ ...house, hosts: { ...access, api } }, new AbortController().signal);
}
