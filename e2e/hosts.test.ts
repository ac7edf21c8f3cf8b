import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { type Forge, type ForgeRepository, startForge } from '../src/git/testing/forge.ts';
import { githubPing, type HostDelivery, pushes } from '../src/source/testing/deliveries.ts';
import { startServer, type TestServer } from './testing/server.ts';
import { program } from './testing/small-shop.ts';
import { type Story, storyOf } from './testing/story.ts';

let server: TestServer;
let forge: Forge;
let repository: ForgeRepository;
let story: Story;
const project = 'hosted-shop';
const token = 'canary-token-of-the-host';
const secret = 'canary-secret-of-the-hooks';

beforeAll(async () => {
  // nobody polls within the hour: what is seen was told by a webhook
  const env = { HOST_TOKEN: token, HOST_HOOK: secret, TOWPATH_POLL_MS: String(3_600_000) };
  [server, forge] = await Promise.all([startServer({ env }), startForge()]);
  repository = await forge.createRepository('shop');
  await repository.commit({ files: { 'towpath.yaml': CONFIG, 'web/main.js': program('hello') } });
  story = storyOf(server, project);
}, 180_000);

afterAll(async () => {
  await server.dispose();
  await forge.close();
});

test('a repository is added with the kind of its host, which can be changed', async () => {
  const added = await server.cli(
    'project',
    'add',
    repository.url,
    '--host',
    'gitlab',
    '--credential',
    'env:HOST_TOKEN',
  );
  expect(added.stdout).toContain('(gitlab, main)');
  const set = await server.cli('project', 'set', '--host', 'none', '--webhook-secret', 'env:HOST_HOOK');
  expect(set.stdout).toContain('(main)');
  expect((await server.cli('project', 'set', '--host', 'sourceforge')).code).not.toBe(0);
  await story.release(await repository.git('rev-parse', 'main'), 'ready');
});

test.each(Object.keys(pushes))('a push to %s is told by its signed webhook, and taken in', async (sender) => {
  const answers: number[] = [];
  repository.onPush = async () => {
    const push = { secret, id: `delivery of ${sender}`.replaceAll(/\W/g, '-'), atMs: Date.now() };
    for (let times = 0; times < 2; times++) answers.push((await deliver(pushes[sender]?.(push))).status);
  };
  await story.release(await pushOverHttp(), 'ready');
  expect(answers).toEqual([202, 200]);
});

test('a GitHub App reaches a private repository, and its token and key are nowhere to be seen', async () => {
  const made = 'canary-token-of-the-app';
  const authorization = `Basic ${Buffer.from(`x-access-token:${made}`).toString('base64')}`;
  const github = await startForge({ authorization });
  github.answer = ({ url = '', headers }) => {
    if (url.startsWith('/api/v3/app/installations/345/')) return json(201, { token: made, expires_at: IN_AN_HOUR });
    if (!url.startsWith('/api/v3/')) return undefined;
    return headers.authorization === `Bearer ${made}` ? json(200, {}) : json(401, {});
  };
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const place = await mkdtemp(join(tmpdir(), 'towpath-app-'));
  await writeFile(join(place, 'app.pem'), pem);
  try {
    const own = await github.createRepository('private');
    const files = { 'towpath.yaml': CONFIG.replace(project, 'app-shop'), 'web/main.js': program('hello') };
    const commit = await own.commit({ files });
    const credential = `github-app:12:345:file:${place}/app.pem`;
    const added = await server.cli('project', 'add', own.url, '--host', 'github', '--credential', credential);
    expect(added).toMatchObject({ code: 0 });
    await storyOf(server, 'app-shop').release(commit, 'ready');
    const audit = await server.cli('audit', '--json');
    const seen = [added.stdout, audit.stdout, server.output(), ...github.requests].join('\n');
    for (const secret of ['canary', authorization, ...pem.split('\n').slice(1, 3)]) expect(seen).not.toContain(secret);
  } finally {
    await github.close();
    await rm(place, { recursive: true });
  }
}, 120_000);

test('a ping is answered, and a delivery under another secret is refused', async () => {
  const push = { secret, id: 'ping-1', atMs: Date.now() };
  const ping = await deliver(githubPing(push));
  expect(ping.status).toBe(200);
  expect(await ping.json()).toEqual({ outcome: 'heard' });
  expect((await deliver(githubPing({ ...push, secret: 'another' }))).status).toBe(401);
  expect(server.output()).not.toContain('canary');
});

const IN_AN_HOUR = new Date(Date.now() + 3_600_000).toISOString();

function json(status: number, body: unknown): { status: number; body: string } {
  return { status, body: JSON.stringify(body) };
}

const CONFIG = `project: ${project}
services: { web: { path: web, build: { node: { start: main.js } }, port: 3000 } }
environments: { prod: { on: manual, deploy: process } }
`;

async function pushOverHttp(): Promise<string> {
  const commit = await repository.git('commit-tree', 'main^{tree}', '-p', 'main', '-m', 'pushed');
  await repository.git('push', '--quiet', repository.url, `${commit}:refs/heads/main`);
  return commit;
}

/** As the host delivers it. */
async function deliver(delivery: HostDelivery | undefined): Promise<Response> {
  if (delivery === undefined) throw new Error('This host sends none.');
  const { repositories } = await server.client.call('project.show', { params: { project } });
  const headers = Object.entries(delivery.headers).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, value]],
  );
  return fetch(`${server.client.server}${repositories[0]?.webhook.path}`, {
    method: 'POST',
    headers,
    body: new Uint8Array(delivery.body),
  });
}
