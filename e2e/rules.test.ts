import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { createClient } from '../src/cli/client.ts';
import type { PromotionView } from '../src/flow/view/promotion.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { program as towpath, startServer, type TestServer, until } from './testing/server.ts';
import { program, smallShop } from './testing/small-shop.ts';
import { type Story, storyOf } from './testing/story.ts';

let server: TestServer;
let repository: TestRepository;
let story: Story;
let first: string;
let second: string;
const project = 'ruled';

const environments = `environments:
  dev: { on: manual, accepts: any, deploy: process, settle: 100ms }
  qa: { on: { merge: main }, deploy: process, settle: 100ms }
  prod: { on: manual, from: qa, gates: [{ approvals: { of: managers, count: 1 } }], deploy: process, settle: 100ms }
roles:
  managers: [bob, ana]
`;

beforeAll(async () => {
  [server, repository] = await Promise.all([startServer(), createRepository()]);
  const files = smallShop({ project, services: ['web', 'api'] });
  const config = files['towpath.yaml'] ?? '';
  const path = config.slice(0, config.indexOf('environments:')) + environments;
  first = await repository.commit('Two services', { ...files, 'towpath.yaml': path });
  await server.client.call('project.add', { body: { url: repository.url } });
  story = storyOf(server, project);
  await story.live('qa', first);
}, 180_000);

afterAll(async () => {
  await server.dispose();
  await repository.remove();
});

test('what is refused or waits says so beforehand: the dry run is the decision', async () => {
  second = await repository.commit('Say good day', { 'services/web/main.js': program('good day') });
  await story.live('qa', second);
  const would = await request('prod', second, { dryRun: true });
  expect(would).toMatchObject({ kind: 'would', verdict: 'wait', reasons: [{ gate: 'approvals' }] });
  const asked = await started('prod', second);
  const waiting = await ended(asked.id, 'waiting');
  expect(waiting.headline).toBe(would.kind === 'would' ? would.reasons[0]?.what : '');
}, 120_000);

test('the author alone is not enough; somebody else of the role is: so says the server, and so do its statements', async () => {
  const { open } = await story.environment('prod');
  const id = open[0]?.id ?? '';
  await (await as('ana')).call('promotion.approve', { params: { promotion: id }, body: {} });
  await until(async () => ((await show(id)).headline.includes('did not write it') ? true : null));
  const why = await server.client.call('path.why', {
    params: { project },
    query: { subject: second, environment: 'prod' },
  });
  const told = why.environments[0]?.lines.map(({ verdict, gate, what }) => ({ verdict, gate, what }));
  await until(async () => (isDeepStrictEqual((await verified(second, 75))?.lines, told) ? true : null));
  await (await as('bob')).call('promotion.approve', { params: { promotion: id }, body: {} });
  await story.live('prod', second);
  await until(() => verified(second, 0));
  const release = { params: { project, release: second } };
  await server.client.call('release.yank', { ...release, body: { reason: 'wrong tax' } });
  const barred = await until(() => verified(second, 3));
  expect(barred.lines).toContainEqual({ verdict: 'refuse', gate: 'yank', what: expect.stringContaining('wrong tax') });
  await server.client.call('release.unyank', release);
  await until(() => verified(second, 0));
}, 120_000);

test('a rollback pushes a stuck deployment aside at once, and nothing newer comes by itself until it is resumed', async () => {
  const stuck = await repository.commit('Never well', {
    'services/web/main.js': 'setInterval(() => undefined, 1000);\n',
  });
  await until(async () => (await story.environment('qa')).open.find(({ state }) => state === 'deploying') ?? null);
  const { canRollBack } = await story.environment('qa');
  expect(canRollBack).toMatchObject({ to: { commit: second } });
  const answer = await server.client.call('environment.rollback', { params: { project, environment: 'qa' }, body: {} });
  if (answer.kind !== 'started') throw new Error('It was no dry run.');
  await ended(answer.promotion.id, 'live');
  const after = await story.environment('qa');
  expect(after).toMatchObject({
    current: { commit: second },
    hold: { reason: expect.stringContaining('rolled back') },
  });
  expect(after.history.find(({ release }) => release.commit === stuck)?.state).toBe('cancelled');
  const mended = await repository.commit('Well again', { 'services/web/main.js': program('well again') });
  const held = await until(
    async () => (await story.environment('qa')).open.find(({ state }) => state === 'waiting') ?? null,
  );
  expect(held.headline).toContain('on hold');
  expect((await server.cli('why', 'qa')).stdout).toContain('rolled back');
  await server.client.call('environment.resume', { params: { project, environment: 'qa' } });
  await story.live('qa', mended);
}, 180_000);

test('one command mixes services of several commits, where any is accepted and nowhere else', async () => {
  const body = { services: { web: second } };
  const mixed = await started('dev', first, body);
  await ended(mixed.id, 'live');
  const difference = await server.client.call('path.diff', { params: { project }, query: { from: 'dev', to: second } });
  expect(difference.services.map(({ service, same }) => [service, same])).toEqual([
    ['api', true],
    ['web', true],
  ]);
  const refused = await started('prod', first, body);
  expect((await ended(refused.id, 'refused')).headline).toContain('from several commits');
}, 120_000);

test('a yank bars the same artifacts under every commit, and lifting it frees them', async () => {
  const docsOnly = await repository.commit('Say more', { 'README.md': 'More.\n' });
  await story.live('qa', docsOnly);
  const release = { params: { project, release: docsOnly } };
  await server.client.call('release.yank', { ...release, body: { reason: 'wrong tax' } });
  const mended = await repository.git('rev-parse', 'main~1');
  expect(await request('dev', mended, { dryRun: true })).toMatchObject({
    verdict: 'refuse',
    reasons: [{ gate: 'yank' }],
  });
  await server.client.call('release.unyank', { params: { project, release: mended } });
  expect(await request('dev', docsOnly, { dryRun: true })).toMatchObject({ verdict: 'go' });
}, 120_000);

/** What the program says of the image of a commit without the server, by the registry and the keys alone. @returns null where it ends otherwise */
async function verified(commit: string, exit: number) {
  const folder = join(server.data, 'of-a-verifier');
  const { host } = new URL(server.client.server);
  const auth = Buffer.from(`any:${server.token}`).toString('base64');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'config.json'), JSON.stringify({ auths: { [host]: { auth } } }));
  await writeFile(join(folder, 'keys.json'), (await server.cli('key', 'export', '--json')).stdout);
  const { services } = await story.release(commit);
  const digest = services.find(({ service }) => service === 'web')?.digest;
  const words = [
    'verify',
    `${host}/${project}/web@${digest}`,
    '--for',
    'prod',
    '--key',
    join(folder, 'keys.json'),
    '--json',
  ];
  const env = { PATH: process.env['PATH'], DOCKER_CONFIG: folder };
  const ran = spawnSync(process.execPath, [towpath, ...words], { env, encoding: 'utf8' });
  if (ran.status !== exit) return null;
  const { lines } = JSON.parse(ran.stdout) as { lines: Record<'verdict' | 'gate' | 'what', string>[] };
  return { lines: lines.map(({ verdict, gate, what }) => ({ verdict, gate, what })) };
}

function request(
  environment: string,
  release: string,
  more: { dryRun?: boolean; services?: Record<string, string> } = {},
) {
  return server.client.call('promotion.request', { params: { project, environment }, body: { release, ...more } });
}

async function started(environment: string, release: string, more = {}): Promise<PromotionView> {
  const answer = await request(environment, release, more);
  if (answer.kind !== 'started') throw new Error('It was no dry run.');
  return answer.promotion;
}

function show(promotion: string) {
  return server.client.call('promotion.show', { params: { promotion } });
}

/** Waits until a promotion is in a state. */
function ended(id: string, state: PromotionView['state']): Promise<PromotionView> {
  return until(
    async () => {
      const promotion = await show(id);
      return promotion.state === state ? promotion : null;
    },
    120_000,
    async () => JSON.stringify(await show(id)),
  );
}

async function as(user: string) {
  const { secret } = await server.client.call('token.create', { body: { name: user, user, roles: ['approver'] } });
  return createClient({ server: server.client.server, token: secret }, new AbortController().signal);
}
