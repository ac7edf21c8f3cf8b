import { createHmac } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { type Forge, type ForgeRepository, startForge } from '../src/git/testing/forge.ts';
import { startServer, type TestServer, until } from './testing/server.ts';
import { program, smallShop } from './testing/small-shop.ts';
import { type Story, storyOf } from './testing/story.ts';

let server: TestServer;
let forge: Forge;
let repository: ForgeRepository;
let story: Story;
const project = 'private-shop';
const token = 'canary-token-of-the-forge';
const secret = `whsec_${Buffer.from('canary-secret-of-the-hook').toString('base64')}`;

beforeAll(async () => {
  const authorization = `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
  const env = { SHOP_TOKEN: token, SHOP_HOOK: secret, TOWPATH_POLL_MS: String(3_600_000) };
  [server, forge] = await Promise.all([startServer({ env }), startForge({ authorization })]);
  repository = await forge.createRepository('shop');
  await repository.commit({ branch: 'main', files: smallShop({ project }) });
  story = storyOf(server, project);
}, 180_000);

afterAll(async () => {
  await server.dispose();
  await forge.close();
});

test('a private repository is refused without a credential, and with a reference that leads nowhere', async () => {
  const without = await server.cli('project', 'add', repository.url);
  expect(without).toMatchObject({ code: expect.any(Number) as number, stdout: '' });
  expect(without.stderr).toContain('credential');
  const pasted = await server.cli('project', 'add', repository.url, '--credential', token);
  expect(pasted.code).not.toBe(0);
  expect(pasted.stderr).not.toContain(token);
});

test('with a reference it is polled and mirrored, and the value is nowhere to be seen', async () => {
  const added = await server.cli('project', 'add', repository.url, '--credential', 'env:SHOP_TOKEN');
  expect(added).toMatchObject({ code: 0 });
  expect(added.stdout).toContain('reached with env:SHOP_TOKEN');
  const release = await story.release(await head(), 'ready');
  expect(release.services).toHaveLength(1);
  const audit = await server.cli('audit', '--json');
  expect(audit.stdout).toContain('project.add');
  expect([added.stdout, audit.stdout, server.output()].join('\n')).not.toContain(token);
}, 120_000);

test('a webhook is refused until the repository has a secret for it, and when it is signed with another', async () => {
  expect((await deliver('msg_1', secret)).status).toBe(401);
  const set = await server.cli('project', 'set', '--webhook-secret', 'env:SHOP_HOOK');
  expect(set).toMatchObject({ code: 0 });
  expect(set.stdout).toContain(`${await hookPath()}, signed with env:SHOP_HOOK`);
  expect((await deliver('msg_1', 'whsec_b3RoZXI=')).status).toBe(401);
});

test('a webhook makes a push known at once; delivered twice it wakes once, and nothing is done twice', async () => {
  const commit = await repository.commit({
    branch: 'main',
    files: { 'services/web/main.js': program('pushed') },
  });
  const answers = await Promise.all([deliver('msg_2', secret), deliver('msg_2', secret)]);
  expect(answers.map(({ status }) => status).toSorted((one, other) => one - other)).toEqual([200, 202]);
  await story.release(commit, 'ready');
  expect((await deliver('msg_2', secret)).status).toBe(200);
  expect(await story.releasesOf(commit)).toHaveLength(1);
});

test('what a lost webhook would have told is found by the next poll', async () => {
  const commit = await repository.commit({ branch: 'main', files: { 'services/web/main.js': program('unheard') } });
  await server.restart({ TOWPATH_POLL_MS: '500' });
  await server.client.call('project.refresh', { params: { project } }); // the poll of an hour ago set the next one
  await story.release(commit, 'ready');
});

test('two identical pushes, seen while the server was away, are one release', async () => {
  await server.kill();
  const commit = await repository.commit({ branch: 'main', files: { 'services/web/main.js': program('away') } });
  await repository.git('update-ref', 'refs/heads/main', commit); // pushed once more
  await repository.git('branch', 'feature/again', commit);
  await server.restart({ TOWPATH_POLL_MS: '500' });
  await story.release(commit, 'ready');
  await story.live('feature/again', commit);
  expect(await story.releasesOf(commit)).toHaveLength(1);
});

function head(): Promise<string> {
  return repository.git('rev-parse', 'main');
}

async function hookPath(): Promise<string> {
  const { repositories } = await server.client.call('project.show', { params: { project } });
  return repositories[0]?.webhook.path ?? '';
}

/** As a git server delivers it; the body says nothing that would be believed. */
async function deliver(id: string, key: string): Promise<Response> {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const body = '{"ref":"refs/heads/nothing"}';
  const signature = createHmac('sha256', Buffer.from(key.slice('whsec_'.length), 'base64'))
    .update(`${id}.${timestamp}.${body}`)
    .digest('base64');
  const path = await until(async () => (await hookPath()) || null);
  return fetch(`${server.client.server}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${signature}`,
    },
    body,
  });
}
