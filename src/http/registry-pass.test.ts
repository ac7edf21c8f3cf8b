import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { expect, onTestFinished, test } from 'vitest';

import type { Role } from '../access/permission.ts';
import { createRegistryDoor, type RegistryHandler } from './registry-door.ts';
import { testServer } from './testing/server.ts';

/** Says what came through the door; asked to mount, whether the other repository may be read. */
const registry: RegistryHandler = {
  handle: async ({ method, url = '' }, response, mayPull) => {
    const from = /from=([^&]+)/.exec(url)?.[1];
    response.end(from === undefined ? `${method} ${url}` : `mount ${await mayPull(from)}`);
  },
};

async function door({ openToLoopback = false } = {}) {
  const house = await testServer();
  const { guard, passes } = house;
  const server = createServer((request, response) => {
    void createRegistryDoor({ registry, guard, passes, openToLoopback })(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.close();
    await house.server.close();
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const tokenOf = async (role: Role, projects?: string[]) =>
    (await guard.createToken({ name: 'test', user: 'ada', roles: [role], projects })).secret;
  const passFor = async (secret: string | null, ...scopes: string[]) => {
    const url = new URL(`${base}/v2/token?service=towpath&account=ada&client_id=docker&offline_token=true`);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    const answer = await fetch(url, secret === null ? {} : { headers: basic(secret) });
    return { status: answer.status, reply: (await answer.json()) as Record<string, string> };
  };
  const ask = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${base}${path}`, { method, headers });
    const text = await answer.text();
    return {
      status: answer.status,
      challenge: answer.headers.get('www-authenticate'),
      code: /"code":"(\w+)"/.exec(text)?.[1],
      text,
    };
  };
  return { house, base, tokenOf, passFor, ask };
}

const basic = (secret: string) => ({ authorization: `Basic ${Buffer.from(`any:${secret}`).toString('base64')}` });
const bearer = (pass = '') => ({ authorization: `Bearer ${pass}` });

test('who comes without a pass is told where to get one, and for what to ask', async () => {
  const { ask, base, tokenOf, passFor } = await door();
  const refused = await ask('POST', '/v2/shop/web/blobs/uploads/');
  expect(refused).toMatchObject({ status: 401, code: 'UNAUTHORIZED' });
  expect(refused.challenge).toBe(
    `Bearer realm="${base}/v2/token",service="towpath",scope="repository:shop/web:pull,push"`,
  );
  expect(await (await fetch(`${base}/v2/`)).text()).toContain('`docker login`');
  expect((await ask('GET', '/v2/_catalog')).challenge).toContain('scope="registry:catalog:*"');
  expect((await ask('GET', '/v2/')).challenge).not.toContain('scope');
  const { status, reply } = await passFor(await tokenOf('operator'), 'repository:shop/web:pull,push');
  expect(status).toBe(200);
  expect(reply).toMatchObject({
    expires_in: 300,
    scope: 'repository:shop/web:pull,push',
    access_token: reply['token'],
  });
  expect(await ask('POST', '/v2/shop/web/blobs/uploads/', bearer(reply['token']))).toMatchObject({ status: 200 });
  expect(await ask('GET', '/v2/', bearer(reply['token']))).toMatchObject({ status: 200 });
});

test('behind a proxy that ends TLS passes are got by https, and no name breaks the header', async () => {
  const { ask } = await door();
  expect((await ask('GET', '/v2/', { 'x-forwarded-proto': 'https' })).challenge).toMatch(/realm="https:\/\/127/);
  const odd = await ask('GET', '/v2/a%22,realm=%22http:%2f%2fevil/manifests/v1');
  expect(odd.challenge?.match(/realm=/g)).toHaveLength(1);
});

test('asking for more yields what is allowed and no more, and the refusal says why', async () => {
  const { ask, tokenOf, passFor } = await door();
  const { reply } = await passFor(await tokenOf('viewer'), 'repository:shop/web:pull,push', 'registry:catalog:*');
  expect(reply['scope']).toBe('repository:shop/web:pull registry:catalog:*');
  expect((await ask('GET', '/v2/shop/web/manifests/v1', bearer(reply['token']))).status).toBe(200);
  const push = await ask('PUT', '/v2/shop/web/manifests/v1', bearer(reply['token']));
  expect(push).toMatchObject({ status: 403, code: 'DENIED' });
  expect(push.text).toContain('ada may not push shop/web');
  // What it was not asked for is worth another question.
  const other = await ask('GET', '/v2/shop/api/manifests/v1', bearer(reply['token']));
  expect(other.status).toBe(401);
  expect(other.challenge).toMatch(/scope="repository:shop\/api:pull",error="insufficient_scope"$/);
});

test('a token that is limited to a project opens its repositories alone, as a password and by a pass', async () => {
  const { ask, tokenOf, passFor } = await door();
  const secret = await tokenOf('operator', ['shop']);
  for (const [method, path, status] of [
    ['GET', '/v2/', 200],
    ['PUT', '/v2/shop/web/manifests/v1', 200],
    ['GET', '/v2/docs/site/manifests/v1', 403],
    ['GET', '/v2/shopping/web/manifests/v1', 403],
    ['GET', '/v2/shop/manifests/v1', 403],
    ['GET', '/v2/_catalog', 403],
  ] as const) {
    expect([path, (await ask(method, path, basic(secret))).status]).toEqual([path, status]);
  }
  const scopes = ['repository:shop/web:*', 'repository:docs/site:pull', 'registry:catalog:*'];
  const { reply } = await passFor(secret, ...scopes);
  expect(reply['scope']).toBe('repository:shop/web:pull,push,delete');
  expect((await ask('DELETE', '/v2/shop/web/manifests/v1', bearer(reply['token']))).status).toBe(200);
  expect((await ask('GET', '/v2/docs/site/manifests/v1', bearer(reply['token']))).status).toBe(403);
  const mount = (from: string) => ask('POST', `/v2/shop/web/blobs/uploads/?mount=x&from=${from}`, basic(secret));
  expect((await mount('shop/api')).text).toBe('mount true');
  expect((await mount('docs/site')).text).toBe('mount false');
});

test('a form of OAuth 2 gets a pass too, by the token as password or as refresh token', async () => {
  const { ask, base, tokenOf } = await door();
  const secret = await tokenOf('operator');
  const post = async (form: Record<string, string>) => {
    const scope = 'repository:shop/web:pull repository:shop/api:push';
    const body = new URLSearchParams({ service: 'towpath', client_id: 'x', scope, ...form });
    const answer = await fetch(`${base}/v2/token`, { method: 'POST', body });
    return { status: answer.status, reply: (await answer.json()) as Record<string, string> };
  };
  const first = await post({ grant_type: 'password', username: 'any', password: secret, access_type: 'offline' });
  expect(first.reply['scope']).toBe('repository:shop/web:pull repository:shop/api:push');
  const again = await post({ grant_type: 'refresh_token', refresh_token: first.reply['refresh_token'] ?? '' });
  expect((await ask('GET', '/v2/shop/web/tags/list', bearer(again.reply['access_token']))).status).toBe(200);
  expect((await post({ grant_type: 'password', username: 'any', password: 'wrong' })).status).toBe(401);
  expect((await post({ grant_type: 'client_credentials' })).status).toBe(400);
  expect((await post({ grant_type: 'password', password: 'x'.repeat(70_000) })).status).toBe(400);
});

test('a pass ends five minutes after the revocation of its token at the latest, and no further one is made', async () => {
  const { house, ask, tokenOf, passFor } = await door();
  const secret = await tokenOf('viewer');
  const { reply } = await passFor(secret, 'repository:shop/web:pull');
  const [token] = await house.guard.tokens();
  await house.guard.revokeToken(token?.id ?? '');
  expect((await passFor(secret, 'repository:shop/web:pull')).status).toBe(401);
  expect((await passFor('')).status).toBe(401);
  house.clock.advance(300_000);
  expect((await ask('GET', '/v2/shop/web/manifests/v1', bearer(reply['token']))).status).toBe(401);
});

test('a pass is none of the API, and nobody gets one without a token but where pulling is free', async () => {
  const { house, passFor } = await door();
  expect((await passFor(null, 'repository:shop/web:pull')).status).toBe(401);
  const open = await door({ openToLoopback: true });
  const { reply } = await open.passFor(null, 'repository:shop/web:pull,push');
  expect(reply['scope']).toBe('repository:shop/web:pull');
  expect((await open.ask('PUT', '/v2/shop/web/manifests/v1', bearer(reply['token']))).status).toBe(401);
  expect((await open.ask('GET', '/v2/shop/web/manifests/v1')).status).toBe(200);
  const me = await house.server.inject({ url: '/api/v1/me', headers: bearer(reply['token']) });
  expect(me.statusCode).toBe(401);
});
