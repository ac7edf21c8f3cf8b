import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from 'vitest';

import type { PromotionDetail } from '../src/flow/view/promotion.ts';
import { startPostgres } from '../tools/test-machine/postgres.js';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer, until } from './testing/server.ts';
import { program, smallShop } from './testing/small-shop.ts';
import { ifMissing, type Story, storyOf } from './testing/story.ts';

// A server and its Postgres live by a clock that the test sets.
const project = 'timeless';
const HOUR_MS = 3_600_000;
const SETTLE_MS = 6_000; // longer than what the test does meanwhile

const environments = `environments:
  qa: { on: { merge: main }, deploy: process, settle: ${SETTLE_MS}ms }
  prod: { on: { tag: 'v*' }, from: qa, gates: [{ soak: 1d }], deploy: process, settle: 100ms }
`;

let folder: string;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let server: TestServer;
let repository: TestRepository;
let story: Story;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-clock-'));
  await chmod(folder, 0o755);
  const clock = join(folder, 'clock');
  await writeFile(clock, '+0h');
  const { stdout } = await promisify(execFile)('faketime', ['-f', '+0h', 'env']);
  const env = {
    LD_PRELOAD: /^LD_PRELOAD=(.+)$/m.exec(stdout)?.[1] ?? expect.unreachable(),
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
  postgres = await startPostgres(join(folder, 'pg'), env);
  const options = { databaseUrl: postgres.address, env: { ...env, TOWPATH_CARE_MS: '500' } };
  [server, repository] = await Promise.all([startServer(options), createRepository()]);
  story = storyOf(server, project);
}, 120_000);

afterAll(async () => {
  await server.dispose();
  await Promise.all([repository.remove(), postgres.stop()]);
  await rm(folder, { recursive: true });
});

test('a clock that jumps by hours while a release settles and soaks brings nothing in early, twice or never', async () => {
  const files = smallShop({ project });
  const config = files['towpath.yaml'] ?? '';
  const path = config.slice(0, config.indexOf('environments:')) + environments;
  const commit = await repository.commit('A shop', { ...files, 'towpath.yaml': path });
  await server.client.call('project.add', { body: { url: repository.url } });
  await newest('qa', 'deploying');
  const began = performance.now();
  await newest('qa', 'verifying');
  await set(5);
  await set(-3);
  await story.live('qa', commit);
  expect(performance.now() - began).toBeGreaterThan(SETTLE_MS);

  await repository.git('tag', 'v1');
  const { id } = await newest('prod', 'waiting');
  for (const hours of [5, -3]) {
    await set(hours);
    expect(['waiting', 'evaluating']).toContain((await show(id)).state);
  }
  await set(30);
  await story.live('prod', commit);
  // in whatever order the clock put them
  const steps = ['deploying', 'live', 'requested', 'tagging', 'verifying'];
  for (const { events } of [await newest('qa', 'live'), await show(id)])
    expect(events.flatMap(({ to }) => (to === 'waiting' || to === 'evaluating' ? [] : [to])).toSorted()).toEqual(steps);
  for (const name of ['qa', 'prod']) expect((await story.environment(name)).history).toHaveLength(1);

  await set(0);
  await story.release(await repository.commit('Another', { 'services/web/main.js': program('another') }), 'ready');
}, 120_000);

/** Sets the clock ahead by so many hours, or behind, and waits until the server goes by it and has noticed. */
async function set(hours: number): Promise<void> {
  const before = stepsSeen();
  await writeFile(join(folder, 'next'), `${hours < 0 ? '' : '+'}${hours}h`);
  await rename(join(folder, 'next'), join(folder, 'clock')); // nobody reads half of it
  await until(async () => {
    const { at } = await server.client.call('matrix.read', { query: {} });
    return Math.abs(Date.parse(at) - Date.now() - hours * HOUR_MS) < HOUR_MS / 2 && stepsSeen() > before ? true : null;
  });
}

function stepsSeen(): number {
  return server.output().match(/the clock was set (?:ahead|back)/g)?.length ?? 0;
}

function show(promotion: string): Promise<PromotionDetail> {
  return server.client.call('promotion.show', { params: { promotion } });
}

/** The newest promotion into the environment, once it is in that state or has gone through it. */
function newest(environment: string, state: PromotionDetail['state']): Promise<PromotionDetail> {
  return until(async () => {
    const { open, history } = (await story.environment(environment).catch(ifMissing)) ?? { open: [], history: [] };
    const newest = open[0] ?? history[0];
    if (newest === undefined) return null;
    const found = await show(newest.id);
    return found.events.some(({ to }) => to === state) ? found : null;
  });
}
