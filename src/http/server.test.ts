import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';

import { OPERATION_NAMES, operationOf, type OperationName } from '../access/operation.ts';
import { isRole, mayDo, ROLES } from '../access/permission.ts';
import { STORE_AWAY } from '../store/database.ts';
import { StoreError } from '../store/error.ts';
import { refuseUnlisted } from './router.ts';
import { memoryAnswers } from './testing/memory-answers.ts';
import { testServer, type TestServer } from './testing/server.ts';

let house: TestServer;
beforeAll(async () => {
  house = await testServer();
});
afterAll(() => house.server.close());

/** A request to an operation, its parameters filled with names that are not there. */
function request(name: OperationName, headers: Record<string, string> = {}) {
  const [method = 'GET', path = '/'] = operationOf(name).route.split(' ');
  const url = path.replaceAll(/:\w+/g, 'nothing');
  return { method: method as 'GET', url, headers: { 'content-type': 'application/json', ...headers }, payload: '{}' };
}

test('a route that is in no table of permissions does not start', () => {
  expect(() => refuseUnlisted({ method: 'GET', url: '/api/v1/everything', config: {} })).toThrow(
    expect.objectContaining({ code: 'http.route-unlisted' }),
  );
  expect(() => refuseUnlisted({ method: 'GET', url: '/api/v1/matrix', config: { operation: 'project.list' } })).toThrow(
    expect.objectContaining({ code: 'http.route-unlisted' }),
  );
});

test('every operation of the table has its route', () => {
  for (const name of OPERATION_NAMES) {
    const [method = 'GET', url = ''] = operationOf(name).route.split(' ');
    expect(house.server.hasRoute({ method, url }), name).toBe(true);
  }
});

test.each(OPERATION_NAMES.filter((name) => operationOf(name).needs !== 'public'))(
  '%s is closed to strangers, to wrong tokens and to roles that lack its permission',
  async (name) => {
    const stranger = await house.server.inject(request(name));
    expect(stranger.statusCode).toBe(401);
    expect(stranger.headers['content-type']).toMatch('application/problem+json');
    const wrong = await house.server.inject(request(name, { authorization: `Bearer twp_${'a'.repeat(43)}` }));
    expect(wrong.statusCode).toBe(401);
    const { needs } = operationOf(name);
    for (const role of Object.keys(ROLES).filter(isRole)) {
      if (needs === 'public' || mayDo([role], needs)) continue;
      const headers = { authorization: `Bearer ${await house.token(role)}` };
      expect((await house.server.inject(request(name, headers))).statusCode, role).toBe(403);
    }
  },
);

test('a field that no schema names never leaves the server', async () => {
  const headers = { authorization: `Bearer ${await house.token('viewer')}` };
  const answer = await house.server.inject({ url: '/api/v1/projects', headers });
  expect(answer.statusCode).toBe(200);
  expect(answer.body).not.toContain('never-show-this');
});

test('a misspelt field is refused, it is not dropped: a dry run must not become a promotion', async () => {
  const headers = { authorization: `Bearer ${await house.token('developer')}` };
  const answer = await house.server.inject({
    method: 'POST',
    url: '/api/v1/projects/shop/environments/qa/promotions',
    headers,
    payload: { release: 'v1.0.0', dryrun: true },
  });
  expect(answer.statusCode).toBe(400);
  expect(answer.json()).toMatchObject({ code: 'http.question-invalid', status: 400 });
  expect(answer.json().what).toContain('dryrun');
});

test('a body of another form, or too large, is told what is taken', async () => {
  const authorization = `Bearer ${await house.token('admin')}`;
  const send = async (type: string, payload: string) =>
    (
      await house.server.inject({
        method: 'POST',
        url: '/api/v1/projects',
        headers: { authorization, 'content-type': type },
        payload,
      })
    ).json();
  expect(await send('text/plain', '{}')).toMatchObject({ code: 'http.media-type', status: 415 });
  expect(await send('application/json', '"text"')).toMatchObject({ problems: [{ at: 'body' }] });
  expect(await send('application/json', `"${'x'.repeat(1024 * 1024)}"`)).toMatchObject({
    code: 'http.too-large',
    what: expect.stringContaining('1 MiB'),
  });
});

test('a branch with slashes is one parameter', async () => {
  const headers = { authorization: `Bearer ${await house.token('viewer')}` };
  const url = `/api/v1/projects/shop/releases/${encodeURIComponent('feature/dark-header')}`;
  expect((await house.server.inject({ url, headers })).json()).toMatchObject({ number: 5 });
});

test('a refusal is a problem with a code, what happened and what to do', async () => {
  const headers = { authorization: `Bearer ${await house.token('viewer')}` };
  const answer = await house.server.inject({ url: '/api/v1/projects/shop/releases/v9', headers });
  expect(answer.statusCode).toBe(404);
  expect(answer.headers['content-type']).toBe('application/problem+json');
  expect(answer.json()).toMatchObject({
    type: 'https://towpath.dev/problems/release.missing',
    status: 404,
    code: 'release.missing',
    what: 'There is no release "v9".',
    fix: expect.stringContaining('towpath release list'),
  });
});

test('an unknown failure shows its request, never its message', async () => {
  const broken = await testServer();
  broken.useCases.projects.list = async () => {
    throw new Error('connect postgres://towpath:hunter2@db');
  };
  const headers = { authorization: `Bearer ${await broken.token('viewer')}` };
  const answer = await broken.server.inject({ url: '/api/v1/projects', headers });
  expect(answer.statusCode).toBe(500);
  expect(answer.body).not.toContain('hunter2');
  expect(answer.json().requestId).toMatch(/^[0-9a-f-]{36}$/);
  await broken.server.close();
});

test('pages follow one another until there is no next', async () => {
  const headers = { authorization: `Bearer ${await house.token('viewer')}` };
  const numbers: number[] = [];
  let url = '/api/v1/projects/shop/releases?limit=2';
  for (;;) {
    const page = (await house.server.inject({ url, headers })).json();
    numbers.push(...page.items.map(({ number }: { number: number }) => number));
    if (page.next === undefined) break;
    url = `/api/v1/projects/shop/releases?limit=2&cursor=${encodeURIComponent(page.next)}`;
  }
  expect(numbers).toEqual([5, 4, 3, 2, 1]);
});

test('the same key sends the same answer and does nothing twice', async () => {
  const own = await testServer();
  const headers = { authorization: `Bearer ${await own.token('developer')}`, 'idempotency-key': 'k1' };
  const url = '/api/v1/projects/shop/environments/qa/promotions';
  const ask = (payload: object, more = {}) =>
    own.server.inject({ method: 'POST', url, headers: { ...headers, ...more }, payload });
  const first = await ask({ release: 'v1.0.0' });
  const again = await ask({ release: 'v1.0.0' });
  expect(again.json()).toEqual(first.json());
  expect(again.headers['idempotency-replayed']).toBe('true');
  expect(own.useCases.world.promotions).toHaveLength(1);
  expect((await ask({ release: 'v1.1.0' })).json()).toMatchObject({ code: 'http.key-reused', status: 422 });

  const bob = { authorization: `Bearer ${await own.token('developer', 'bob')}` };
  expect((await ask({ release: 'v1.0.0' }, bob)).headers['idempotency-replayed']).toBeUndefined();

  const missing = { 'idempotency-key': 'k2' };
  expect((await ask({ release: 'v9' }, missing)).statusCode).toBe(404);
  expect((await ask({ release: 'v1.1.0' }, missing)).statusCode).toBe(200);
  await own.server.close();
});

test('an answer with a secret is kept nowhere', async () => {
  const kept: string[] = [];
  const memory = memoryAnswers();
  const own = await testServer({
    answers: { ...memory, keep: async (key, answer) => (kept.push(answer.body), memory.keep(key, answer)) },
  });
  const headers = { authorization: `Bearer ${await own.token('admin')}`, 'idempotency-key': 'k1' };
  const payload = { name: 'ci', user: 'ci', roles: ['viewer'] };
  const made = await own.server.inject({ method: 'POST', url: '/api/v1/tokens', headers, payload });
  expect(made.json().secret).toMatch(/^twp_/);
  await own.server.inject({ method: 'POST', url: '/api/v1/session-codes', headers });
  const hold = { method: 'POST', url: '/api/v1/projects/shop/environments/qa/hold' } as const;
  await own.server.inject({ ...hold, headers, payload: { reason: 'test' } });
  expect(kept).toHaveLength(1);
  expect(kept.join()).not.toMatch(/tw[pc]_/);
  await own.server.close();
});

test('who acts is who is authenticated, never who the body names', async () => {
  const headers = { authorization: `Bearer ${await house.token('operator', 'olga')}` };
  const url = '/api/v1/projects/shop/releases/v1.1.0/yank';
  const answer = await house.server.inject({ method: 'POST', url, headers, payload: { reason: 'wrong tax' } });
  expect(answer.json()).toMatchObject({ yanked: true, yank: { by: 'olga', reason: 'wrong tax' } });
  expect(house.useCases.world.deeds).toContainEqual({ by: 'olga', deed: 'yank v1.1.0' });
});

test('a webhook is checked by its signature over the very bytes, and needs no token', async () => {
  const send = (signature: string) =>
    house.server.inject({
      method: 'POST',
      url: '/hooks/rep_1',
      headers: { 'content-type': 'application/json', 'webhook-signature': signature },
      payload: '{ "spaces" :  "stay" }',
    });
  expect((await send('v1,good')).statusCode).toBe(202);
  expect(house.useCases.world.deeds).toContainEqual({ by: 'webhook', deed: '{ "spaces" :  "stay" }' });
  expect((await send('v1,bad')).statusCode).toBe(401);
});

test('what is nowhere is a problem too, and tells nothing of what is elsewhere', async () => {
  const answer = await house.server.inject({ url: '/api/v1/secrets?token=xyzzy' });
  expect(answer.statusCode).toBe(404);
  expect(answer.json()).toMatchObject({ code: 'http.route-missing' });
  expect(answer.body).not.toContain('xyzzy');
});

test('the description of the API is the one that is committed', async () => {
  const answer = await house.server.inject({ url: '/api/v1/openapi.json' });
  const text = `${JSON.stringify(answer.json(), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../openapi.json');
  expect(answer.json().openapi).toBe('3.1.0');
});

test('a token that is limited to projects sees and decides nothing of others', async () => {
  const limited = async (project: string) => {
    const wish = { name: 'ci', user: 'ci', roles: ['admin'], projects: [project] };
    return { authorization: `Bearer ${(await house.guard.createToken(wish)).secret}` };
  };
  const status = async (method: 'GET' | 'POST', url: string, headers: Record<string, string>) =>
    (await house.server.inject({ method, url, headers, ...(method === 'POST' ? { payload: {} } : {}) })).statusCode;
  const [own, other] = [await limited('shop'), await limited('docs')];
  const url = '/api/v1/projects/shop/environments/prod/promotions';
  const asked = await house.server.inject({ method: 'POST', url, headers: own, payload: { release: 'v1.0.0' } });
  const promotion = asked.json<{ promotion: { id: string } }>().promotion;
  for (const [method, url] of [
    ['GET', '/api/v1/projects/shop'],
    ['GET', '/api/v1/matrix?project=shop'],
    ['GET', `/api/v1/promotions/${promotion.id}`],
    ['GET', '/api/v1/logs/log_1'],
  ] as const) {
    expect([url, await status(method, url, own)]).toEqual([url, 200]);
    expect([url, await status(method, url, other)]).toEqual([url, 403]);
  }
  for (const deed of ['approve', 'reject', 'cancel'])
    expect(await status('POST', `/api/v1/promotions/${promotion.id}/${deed}`, other)).toBe(403);
  for (const url of ['/api/v1/tokens', '/api/v1/audit', '/api/v1/logs/of-nobody', '/api/v1/logs/of-nobody/follow'])
    expect(await status('GET', url, own)).toBe(403);
  expect(await status('GET', '/api/v1/logs/log_1/follow', other)).toBe(403);
  const seen = async (headers: Record<string, string>) =>
    (await house.server.inject({ url: '/api/v1/matrix', headers })).json<{ projects: unknown[] }>().projects.length;
  expect([await seen(own), await seen(other)]).toEqual([1, 0]);
  expect((await house.server.inject({ url: '/api/v1/projects', headers: other })).json()).toEqual([]);
  expect((await house.server.inject({ url: '/api/v1/projects', headers: own })).json()).toHaveLength(1);
  expect((await house.server.inject({ url: '/api/v1/me', headers: own })).json()).toMatchObject({ projects: ['shop'] });
});

test('a server whose database is away says that it is not ready, and that it is there', async () => {
  const ready = () => Promise.reject(new StoreError(STORE_AWAY));
  const { server } = await testServer({ ready });
  onTestFinished(() => server.close());
  const answer = await server.inject('/api/v1/ready');
  expect([answer.statusCode, answer.headers['retry-after'], answer.json()]).toMatchObject([503, '1', STORE_AWAY]);
  expect((await server.inject('/api/v1/health')).statusCode).toBe(200);
});
