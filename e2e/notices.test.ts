import { afterAll, beforeAll, expect, test } from 'vitest';

import { type Forge, type ForgeRepository, startForge } from '../src/git/testing/forge.ts';
import { createStandIn, type StandIn } from '../src/notify/testing/stand-in.ts';
import { startServer, type TestServer, until } from './testing/server.ts';
import { program, smallShop } from './testing/small-shop.ts';
import { type Story, storyOf } from './testing/story.ts';

let server: TestServer;
let forge: Forge;
let host: StandIn;
let repository: ForgeRepository;
let story: Story;
const project = 'told-shop';
const token = 'canary-of-the-token-for-notices';

beforeAll(async () => {
  [server, forge] = await Promise.all([startServer({ env: { SHOP_NOTICES: token } }), startForge()]);
  host = createStandIn('github', token);
  forge.api = (request, response) => {
    if (request.url?.startsWith(host.prefix) !== true) return false;
    host.serve(request, response);
    return true;
  };
  repository = await forge.createRepository('team/shop');
  await repository.commit({ branch: 'main', files: smallShop({ project }) });
  story = storyOf(server, project);
  await server.client.call('project.add', { body: { url: repository.url, host: 'github' } });
  await story.live('qa', await repository.git('rev-parse', 'main'));
}, 180_000);

afterAll(async () => {
  await server.dispose();
  await forge.close();
});

test('a push is told to the host of the repository as it goes, and both links open', async () => {
  expect(host.requests).toEqual([]);
  expect(await server.cli('project', 'set', '--notices', 'env:SHOP_NOTICES')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('told what becomes of its commits, with env:SHOP_NOTICES') as string,
  });
  const commit = await repository.commit({ branch: 'main', files: { 'services/web/main.js': program('told') } });
  await story.live('qa', commit);
  const made = () => host.deployments.find(({ sha }) => sha === commit);
  await until(
    () => (made()?.state === 'success' ? true : null),
    120_000,
    () => host.log.join('\n'),
  );
  expect(host.log).toContain('status towpath/build success');
  expect(host.log.lastIndexOf('status towpath/build success')).toBeLessThan(
    host.log.lastIndexOf('deployment qa success'),
  );
  expect(made()?.environment).toBe('qa');
  expect(await (await fetch(host.addresses.get('qa') ?? '')).text()).toBe('told');
  for (const link of ['towpath/build', 'qa']) {
    const page = host.links.get(link) ?? '';
    expect(page).toContain(`${server.client.server}/#project=${project}&why=`);
    expect((await fetch(page)).headers.get('content-type')).toContain('text/html');
  }
});

test('killed when the host has made a deployment and nobody has written it down, it makes no second', async () => {
  let killed: Promise<void> | undefined;
  host.trouble = ({ method, path }) => {
    if (method !== 'POST' || path !== '/deployments') return undefined;
    killed ??= server.kill();
    return 'unheard';
  };
  const commit = await repository.commit({ branch: 'main', files: { 'services/web/main.js': program('again') } });
  await until(
    () => (killed === undefined ? null : true),
    120_000,
    () => host.log.join('\n'),
  );
  await killed;
  host.trouble = undefined;
  await server.restart();
  await story.live('qa', commit);
  const last = () => host.deployments.filter(({ sha }) => sha === commit);
  await until(
    () => (last().at(-1)?.state === 'success' ? true : null),
    120_000,
    () => host.log.join('\n'),
  );
  expect(last()).toHaveLength(1);
  await until(() => (host.deployments[0]?.state === 'inactive' ? true : null));
}, 180_000);

test('a host that refuses is told to people, and the token is nowhere to be seen', async () => {
  host.trouble = () => ({ status: 403, body: { message: `Resource not accessible by ${token}` } });
  await repository.commit({ branch: 'main', files: { 'services/web/main.js': program('refused') } });
  const said = await until(async () => {
    const { stdout } = await server.cli('status');
    return stdout.includes('its git host is not told') ? stdout : null;
  });
  expect(said).toContain('GitHub answered 403: Resource not accessible by [secret].');
  expect(said).toContain('"Deployments": read and write');
  const outputs = await Promise.all(
    ['doctor', 'project list', 'audit --json'].map((line) => server.cli(...line.split(' '))),
  );
  expect([said, server.output(), ...outputs.map(({ stdout }) => stdout)].join('\n')).not.toContain(token);
});
