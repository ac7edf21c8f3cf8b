import { generateKeyPairSync, verify } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { fixedClock, type FixedClock } from '../lib/clock.ts';
import { createHostAccess, type HostAccess } from './host-access.ts';

const CANARY = 'canary-of-the-token';
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const APP = 'github-app:12:345:env:KEY';
const SECRETS: Record<string, string> = { 'env:TOKEN': CANARY, 'env:OTHER': 'another-token', 'env:KEY': PEM };

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly authorization: string;
  readonly body: string;
}
interface Reply {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

let clock: FixedClock;
let server: Server;
let origin: string;
let seen: Seen[];
let waited: number[];
let reply: (request: Seen) => Reply;
let access: HostAccess;

beforeEach(async () => {
  clock = fixedClock(Date.parse('2026-11-29T10:00:00Z'));
  [seen, waited] = [[], []];
  reply = () => ({ status: 200, body: {} });
  server = createServer((request, response) => {
    void read(request).then((body) => {
      const { method = '', url = '' } = request;
      const one = { method, url, authorization: request.headers.authorization ?? '', body };
      seen.push(one);
      const { status, headers, body: answer } = reply(one);
      response.writeHead(status, headers).end(answer === undefined ? '' : JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  origin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  access = createHostAccess({
    clock,
    secretOf: (reference) => Promise.resolve(SECRETS[reference] ?? ''),
    wait: (ms) => Promise.resolve(void waited.push(ms)),
  });
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test.each([
  ['github', '/api/v3/repos/team/shop', `Bearer ${CANARY}`],
  ['gitlab', '/api/v4/projects/team%2Fshop', `Bearer ${CANARY}`],
  ['gitea', '/api/v1/repos/team/shop', `token ${CANARY}`],
  ['bitbucket', '/2.0/repositories/team/shop', `Bearer ${CANARY}`],
  ['bitbucket-dc', '/rest/api/latest/projects/team/repos/shop', `Bearer ${CANARY}`],
])('the API of %s is asked about the repository, with the token in a header', async (host, path, authorization) => {
  reply = () => ({ status: 201, body: { id: 7 } });
  const answer = await apiOf(host).call({ method: 'POST', path: '/things', body: { state: 'success' } });
  expect(answer).toMatchObject({ status: 201, body: { id: 7 } });
  expect(seen).toEqual([{ method: 'POST', url: `${path}/things`, authorization, body: '{"state":"success"}' }]);
});

test('of a plain server and of a folder there is no API', () => {
  expect(access.api({ url: `${origin}/team/shop`, host: null }, 'env:TOKEN')).toBeNull();
  expect(access.api({ url: 'file:///srv/shop.git', host: 'github' }, 'env:TOKEN')).toBeNull();
});

test('without a token nothing is asked: a key for ssh is none', async () => {
  for (const [url, reference] of [
    [`${origin}/team/shop`, null],
    ['git@github.com:team/shop', 'file:/etc/key'],
  ] as const)
    await expect(
      access.api({ url, host: 'github' }, reference)?.call({ method: 'GET', path: '' }),
    ).rejects.toMatchObject({ code: 'host.no-token' });
});

test.each([
  [401, 'host.denied'],
  [403, 'host.denied'],
  [404, 'host.not-found'],
  [422, 'host.refused'],
  [500, 'host.unreachable'],
  [302, 'host.moved'],
])('an answer of %d is %s; what the host says is shown clean, and the token nowhere', async (status, code) => {
  reply = () => ({ status, headers: { location: 'http://elsewhere.example' }, body: { message: 'no\u001b[31m way' } });
  const error = await apiOf('github')
    .call({ method: 'GET', path: '' })
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code, status });
  expect(`${String(error)}${JSON.stringify(error)}`).not.toContain(CANARY);
  if (code !== 'host.moved') expect(String(error)).toContain('no way');
  expect(seen).toHaveLength(1);
});

test.each(['github', 'gitea', 'bitbucket'])('what %s repeats of a token is blackened', async (host) => {
  for (const [user, reference] of [
    ['', 'env:TOKEN'],
    ['ada:', 'env:PAIR'],
  ] as const) {
    SECRETS[reference] = `${user}${CANARY}`;
    reply = ({ authorization }) => ({ status: 403, body: { message: `bad ${CANARY}, ${authorization}` } });
    await expect(apiOf(host, reference).call({ method: 'GET', path: '' })).rejects.toMatchObject({
      what: expect.not.stringMatching(`${CANARY}|${Buffer.from(`ada:${CANARY}`).toString('base64')}`) as string,
    });
  }
});

test('a host that asks to be left alone is not asked until then; another token may ask', async () => {
  reply = ({ authorization }) =>
    authorization.endsWith(CANARY) ? { status: 429, headers: { 'retry-after': '90' } } : { status: 200, body: [] };
  const ask = (reference?: string) => apiOf('github', reference).call({ method: 'GET', path: '' });
  const busy = { code: 'host.busy', what: expect.stringContaining('until 2026-11-29T10:01:30.000Z') as string };
  await expect(ask()).rejects.toMatchObject({ ...busy, retryAfterMs: 90_000 });
  clock.advance(89_000);
  await expect(ask()).rejects.toMatchObject({ ...busy, retryAfterMs: 1000 });
  expect(await ask('env:OTHER')).toMatchObject({ status: 200 });
  expect(seen).toHaveLength(2);
  reply = () => ({ status: 200, body: {} });
  clock.advance(1000);
  expect(await ask()).toMatchObject({ status: 200 });
});

test('GitHub’s second limit is a 403 that only says so in words: then a minute is waited', async () => {
  reply = () => ({ status: 403, body: { message: 'You have exceeded a secondary rate limit.' } });
  await expect(apiOf('github').call({ method: 'GET', path: '' })).rejects.toMatchObject({
    code: 'host.busy',
    retryAfterMs: 60_000,
  });
});

test('what is no JSON and what does not answer are failures of the host', async () => {
  reply = () => ({ status: 200, body: undefined });
  expect(await apiOf('gitea').call({ method: 'GET', path: '' })).toMatchObject({ body: null });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await expect(apiOf('gitea').call({ method: 'GET', path: '' })).rejects.toMatchObject({ code: 'host.unreachable' });
});

test('a GitHub App signs for itself, and its token is kept until shortly before it ends', async () => {
  const minted = mintTokens();
  for (let times = 0; times < 3; times++) await apiOf('github', APP).call({ method: 'GET', path: '' });
  expect(minted()).toBe(1);
  const [jwt = ''] = seen.map(({ authorization }) => authorization.replace('Bearer ', ''));
  const [head = '', claims = '', signature = ''] = jwt.split('.');
  const isSigned = verify(
    'RSA-SHA256',
    Buffer.from(`${head}.${claims}`),
    publicKey,
    Buffer.from(signature, 'base64url'),
  );
  expect(isSigned).toBe(true);
  const at = clock.now() / 1000;
  expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toEqual({ iss: '12', iat: at - 60, exp: at + 540 });
  expect(seen.at(-1)).toMatchObject({ url: '/api/v3/repos/team/shop', authorization: 'Bearer canary-1' });

  clock.advance(56 * 60_000);
  await Promise.all([1, 2].map(() => apiOf('github', APP).call({ method: 'GET', path: '' })));
  expect(minted()).toBe(2);
  const git = await access.gitCredential({ url: `${origin}/team/shop`, host: 'github' }, APP);
  expect(git).toEqual({ kind: 'basic', username: 'x-access-token', password: 'canary-2' });
});

test('a token of an App is not used after its hour where the clock is behind', async () => {
  const minted = mintTokens();
  await apiOf('github', APP).call({ method: 'GET', path: '' });
  clock.advance(56 * 60_000);
  clock.set(clock.now() - 56 * 60_000);
  await apiOf('github', APP).call({ method: 'GET', path: '' });
  expect(minted()).toBe(2);
});

test('a new token that not every machine of GitHub knows yet is tried again before it is used', async () => {
  mintTokens(2);
  await apiOf('github', APP).call({ method: 'GET', path: '' });
  expect(waited).toEqual([250, 500]);
  expect(seen.map(({ url }) => url.replace('/api/v3', ''))).toEqual([
    '/app/installations/345/access_tokens',
    ...Array.from({ length: 3 }, () => '/installation/repositories?per_page=1'),
    '/repos/team/shop',
  ]);
});

test('a token that stays unknown, and a key that is none, are told without a secret', async () => {
  mintTokens(99);
  SECRETS['env:WRONG'] = 'canary that is no key';
  for (const [reference, code] of [
    [APP, 'host.denied'],
    ['github-app:12:345:env:WRONG', 'host.app-key'],
  ] as const) {
    const error = await apiOf('github', reference)
      .call({ method: 'GET', path: '' })
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code });
    expect(`${String(error)}${JSON.stringify(error)}${(error as Error).stack}`).not.toContain('canary');
  }
});

function apiOf(host: string, reference = 'env:TOKEN') {
  const api = access.api({ url: `${origin}/team/shop`, host }, reference);
  if (api === null) throw new Error(`${host} has no API.`);
  return api;
}

/** Gives tokens for an hour each, as GitHub does; the first tries of each are denied. @returns how many were given */
function mintTokens(denials = 0): () => number {
  let count = 0;
  let denied = 0;
  reply = ({ url }) => {
    if (url.endsWith('/access_tokens')) {
      count += 1;
      const endsAt = new Date(clock.now() + 3_600_000).toISOString().replace('.000Z', 'Z');
      return { status: 201, body: { token: `canary-${count}`, expires_at: endsAt } };
    }
    return url.includes('/installation/') && ++denied <= denials ? { status: 401 } : { status: 200, body: {} };
  };
  return () => count;
}

async function read(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
