import { afterEach, beforeEach, expect, test } from 'vitest';

import { testServer, type TestServer } from './testing/server.ts';

let house: TestServer;
beforeEach(async () => {
  house = await testServer();
});
afterEach(() => house.server.close());

async function openSession(headers: Record<string, string> = {}, parts = house) {
  const authorization = `Bearer ${await parts.token('developer')}`;
  const invited = await parts.server.inject({
    method: 'POST',
    url: '/api/v1/session-codes',
    headers: { authorization },
  });
  const { code } = invited.json();
  return parts.server.inject({ method: 'POST', url: '/api/v1/sessions', headers, payload: { code } });
}

const cookieOf = (header: unknown) => String(header).split(';')[0] ?? '';

test('a one-time code becomes a cookie that scripts cannot read and other sites do not send', async () => {
  const opened = await openSession();
  expect(opened.statusCode).toBe(201);
  const cookie = String(opened.headers['set-cookie']);
  expect(cookie).toMatch(/^towpath_session=tws_[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=43200$/);
  const me = await house.server.inject({ url: '/api/v1/me', headers: { cookie: cookieOf(cookie) } });
  expect(me.json()).toMatchObject({ user: 'ada', roles: ['developer'] });

  const secure = await testServer({ secure: true });
  expect(String((await openSession({}, secure)).headers['set-cookie'])).toMatch(/; Secure$/);
  await secure.server.close();
});

test('a write by cookie has to come from the page of this very server', async () => {
  const cookie = cookieOf((await openSession()).headers['set-cookie']);
  const hold = (headers: Record<string, string>) =>
    house.server.inject({
      method: 'POST',
      url: '/api/v1/projects/shop/environments/qa/hold',
      headers: { cookie, host: 'towpath.example:7070', ...headers },
      payload: { reason: 'test' },
    });
  expect((await hold({})).json()).toMatchObject({ status: 403, code: 'access.foreign-origin' });
  expect((await hold({ origin: 'https://evil.example' })).statusCode).toBe(403);
  expect((await hold({ origin: 'null' })).statusCode).toBe(403);
  expect((await hold({ origin: 'http://towpath.example:7070' })).statusCode).toBe(200);
});

test('a foreign page cannot open a session here, which would act in its name', async () => {
  const opened = await openSession({ origin: 'https://evil.example' });
  expect(opened.statusCode).toBe(403);
});

test('a closed session is dead, also on the server', async () => {
  const cookie = cookieOf((await openSession()).headers['set-cookie']);
  const headers = { cookie, host: 'h', origin: 'http://h' };
  const closed = await house.server.inject({ method: 'DELETE', url: '/api/v1/sessions', headers });
  expect(closed.statusCode).toBe(204);
  expect(String(closed.headers['set-cookie'])).toContain('Max-Age=0');
  expect((await house.server.inject({ url: '/api/v1/me', headers })).statusCode).toBe(401);
});

test('the page loads nothing from elsewhere, runs nothing inline and cannot be framed', async () => {
  const page = await house.server.inject({ url: '/' });
  expect(page.statusCode).toBe(200);
  const policy = String(page.headers['content-security-policy']);
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(page.body).not.toMatch(/<script(?![^>]*\bsrc=)|\son\w+=|style=|https?:\/\//);
  for (const [, file] of page.body.matchAll(/(?:src|href)="(\/page\/[^"]+)"/g))
    expect((await house.server.inject({ url: file ?? '' })).statusCode, file).toBe(200);
  const again = await house.server.inject({ url: '/', headers: { 'if-none-match': String(page.headers['etag']) } });
  expect(again.statusCode).toBe(304);
  for (const url of ['/page/..%2f..%2fpackage.json', '/page/package.json', '/page/nothing.js'])
    expect((await house.server.inject({ url })).statusCode, url).toBe(404);
});
