import type { ServerResponse } from 'node:http';

import fc from 'fast-check';
import { base64url, SignJWT, UnsecuredJWT } from 'jose';
import { Agent } from 'undici';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';

import { fixedClock, type FixedClock } from '../../lib/clock.ts';
import { problemOf } from '../../lib/error.ts';
import { createFence } from '../../lib/fence/fence.ts';
import { cases } from '../../lib/testing/cases.ts';
import { type Internet, startInternet } from '../../registry/testing/internet.ts';
import type { Claims } from '../identity.ts';
import { createIssuerKeys, type IssuerKeys } from './issuer-keys.ts';
import { readIdentity, verifyIdentity } from './read-identity.ts';
import { ACTIONS, actionsClaims, GITLAB, gitlabClaims } from './testing/claims.ts';
import { type TestIssuer, testIssuer } from './testing/issuer.ts';

/**
 * Issuers under their own names, with true keys and the two documents as they are specified, by TLS over a proxy of this
 * machine. Of the real ones none was asked.
 */
const AWAY = 'https://away.example';
const LONELY = 'https://ci.example/org/7';
const SECOND = 1000;

let actions: TestIssuer;
let gitlab: TestIssuer;
let lonely: TestIssuer;
let internet: Internet;
let clock: FixedClock;
let keys: IssuerKeys;

beforeAll(async () => {
  [actions, gitlab, lonely] = await Promise.all([testIssuer(ACTIONS), testIssuer(GITLAB, 'ES256'), testIssuer(LONELY)]);
  internet = await startInternet({
    'token.actions.githubusercontent.com': actions.site,
    'gitlab.example': gitlab.site,
    'ci.example': lonely.site,
    'away.example': (request) => void request.socket.destroy(),
    'slow.example': () => undefined,
  });
});
beforeEach(() => {
  clock = fixedClock(Date.parse('2026-11-29T12:00:00Z'));
  keys = createIssuerKeys({ clock, agentFor: internet.agentFor, timeoutMs: 60_000 });
  for (const issuer of [actions, gitlab, lonely]) {
    issuer.asked.length = 0;
    issuer.instead.clear();
  }
});
afterAll(() => internet.close());

async function verify(text: string, by = keys): Promise<Claims> {
  return verifyIdentity(readIdentity(text), by, clock);
}

/** What somebody is told; never more than a few words of the token. */
async function told(text: string, by = keys) {
  const error: unknown = await verify(text, by).then(
    () => expect.fail('It was taken for true.'),
    (thrown: unknown) => thrown,
  );
  const problem = problemOf(error);
  for (const part of text.split('.').filter((piece) => piece.length > 20))
    expect(JSON.stringify(problem)).not.toContain(part);
  return problem;
}

test('what an issuer signed with RS256 or ES256 is read, its keys are asked for once', async () => {
  const at = clock.now();
  expect(await verify(await actions.sign(actionsClaims(at)))).toMatchObject({ repository: 'team/shop' });
  expect(await verify(await gitlab.sign(gitlabClaims(at)))).toMatchObject({ project_path: 'team/backend/shop' });
  expect(await verify(await lonely.sign(actionsClaims(at, { iss: LONELY })))).toMatchObject({ iss: LONELY });
  await Promise.all([1, 2, 3].map(async () => verify(await actions.sign(actionsClaims(at)))));
  expect(actions.asked).toEqual(['/.well-known/openid-configuration', '/.well-known/jwks']);
  expect(lonely.asked[0]).toBe('/org/7/.well-known/openid-configuration');
});

test.each<[string, Claims, string]>([
  ['of yesterday', { iat: -90_000, nbf: -90_000, exp: 300 }, 'its time is over'],
  ['whose time is over', { iat: -400, exp: -61 }, 'its time is over'],
  ['of the future', { iat: 120, nbf: 0, exp: 300 }, '`iat`'],
  ['that holds only later', { nbf: 61 }, '`nbf`'],
  ['without an end', { exp: undefined }, '`exp`'],
  ['that does not say when it was made', { iat: undefined }, '`iat`'],
  ['without a subject', { sub: undefined }, '`sub`'],
  ['for nobody', { aud: undefined }, '`aud`'],
])('a token %s does not hold', async (_case, times, why) => {
  const at = clock.now() / SECOND;
  const moved = Object.entries(times).map(([name, value]) => [name, typeof value === 'number' ? at + value : value]);
  expect(await told(await actions.sign(actionsClaims(clock.now(), Object.fromEntries(moved) as Claims)))).toMatchObject(
    { code: 'access.identity-untrue', what: expect.stringContaining(why) as string },
  );
});

test('a minute of difference between clocks is let pass', async () => {
  const at = clock.now() / SECOND;
  for (const more of [{ exp: at - 59 }, { nbf: at + 59 }, { iat: at + 59 }])
    expect(await verify(await actions.sign(actionsClaims(clock.now(), more)))).toMatchObject(more);
});

test('what somebody else signed, or changed, does not hold', async () => {
  const claims = actionsClaims(clock.now());
  const other = await testIssuer(ACTIONS);
  expect((await told(await other.sign(claims))).what).toContain('did not sign it');
  const [header = '', , signature = ''] = (await actions.sign(claims)).split('.');
  const more = base64url.encode(JSON.stringify({ ...claims, repository: 'team/other' }));
  expect((await told(`${header}.${more}.${signature}`)).what).toContain('did not sign it');
  expect((await told(await gitlab.sign(claims))).code).toBe('access.identity-untrue'); // another alg than that of the key
});

test('no signature, or one by a secret that both sides know, is no identity token', async () => {
  const claims = { ...actionsClaims(clock.now()) };
  const secret = new TextEncoder().encode('a secret that is long enough for all of them, and then some more.');
  const none = new UnsecuredJWT(claims).encode();
  for (const alg of ['HS256', 'HS512'])
    expect(await told(await new SignJWT(claims).setProtectedHeader({ alg, kid: 'key-1' }).sign(secret))).toMatchObject({
      code: 'access.identity-malformed',
    });
  for (const text of [none, '', 'x', 'a.b.c', `${await actions.sign(claims)}.x`, 'e'.repeat(17_000)])
    expect((await told(text)).code).toBe('access.identity-malformed');
  expect(actions.asked).toEqual([]); // nobody is asked for the keys of what is no token
});

test('a key that is not known has them fetched anew, so that an issuer may change its keys, and not more often than it should', async () => {
  const before = await actions.sign(actionsClaims(clock.now()));
  await verify(before);
  await actions.rotate();
  clock.advance(20 * SECOND);
  const after = await actions.sign(actionsClaims(clock.now()));
  await verify(after);
  expect(actions.asked).toHaveLength(4);
  expect((await told(before)).what).toContain('no such key');
  for (let i = 0; i < 20; i++) await told(await actions.sign(actionsClaims(clock.now()), { kid: `made-up-${i}` }));
  expect(actions.asked).toHaveLength(4);
  clock.advance(20 * SECOND);
  await Promise.all([1, 2, 3].map(async (i) => told(await actions.sign(actionsClaims(0), { kid: `again-${i}` }))));
  expect(actions.asked).toHaveLength(6);
});

test('a key that an issuer has withdrawn is trusted for ten minutes at most', async () => {
  const withdrawn = await actions.sign(actionsClaims(clock.now() + 600 * SECOND));
  clock.advance(599 * SECOND);
  await verify(withdrawn);
  await actions.rotate();
  await verify(withdrawn);
  clock.advance(600 * SECOND);
  expect((await told(withdrawn)).code).toBe('access.identity-untrue');
});

test.each<[string, 'discovery' | 'keys', (response: ServerResponse) => void, string]>([
  ['away', 'discovery', (response) => void response.writeHead(503).end(), 'it answered 503'],
  ['moved', 'discovery', (response) => void response.writeHead(302, { location: 'https://evil.example' }).end(), '302'],
  ['not one', 'discovery', (response) => void response.end('<html>'), 'not JSON'],
  ['another', 'discovery', json({ issuer: 'https://evil.example', jwks_uri: ACTIONS }), 'of another issuer'],
  ['without keys', 'discovery', json({ issuer: ACTIONS }), 'names no keys'],
  ['in the open', 'discovery', json({ issuer: ACTIONS, jwks_uri: 'http://127.0.0.1/jwks' }), 'not by https'],
  ['a reader of files', 'discovery', json({ issuer: ACTIONS, jwks_uri: 'file:///etc/passwd' }), 'not by https'],
  ['endless', 'keys', (response) => void response.end(Buffer.alloc(1024 * 1024, ' ')), 'more than 256 KiB'],
  ['a host of keys', 'keys', json({ keys: Array.from({ length: 101 }, () => ({ kty: 'RSA' })) }), 'are none'],
  ['no set of keys', 'keys', json({ keys: 'all' }), 'are none'],
])('an issuer that is %s is told as such, and soon', async (_case, document, instead, why) => {
  actions.instead.set(document, instead);
  const text = await actions.sign(actionsClaims(clock.now()));
  expect(await told(text)).toMatchObject({
    code: 'access.issuer-unavailable',
    what: expect.stringContaining(why) as string,
  });
  const { length } = actions.asked;
  await told(text);
  expect(actions.asked).toHaveLength(length); // left alone for a while
  actions.instead.clear();
  clock.advance(20 * SECOND);
  await verify(text);
});

test('an issuer that does not answer, or not in time, is not waited for', async () => {
  const impatient = createIssuerKeys({ clock, agentFor: internet.agentFor, timeoutMs: 50 });
  for (const iss of [AWAY, 'https://slow.example', 'https://nowhere.example'])
    expect(await told(await actions.sign(actionsClaims(clock.now(), { iss })), impatient)).toMatchObject({
      code: 'access.issuer-unavailable',
      what: expect.stringContaining('does not answer') as string,
    });
});

test('an issuer in the network of the server is not asked unless the administrator allows it', async () => {
  const agent = new Agent({ connect: createFence().connector({}) });
  onTestFinished(() => agent.close());
  const fenced = createIssuerKeys({ clock, agentFor: () => agent });
  for (const iss of ['https://127.0.0.1:1', 'https://localhost:1', 'https://[::ffff:10.0.0.1]'])
    expect(await told(await actions.sign(actionsClaims(clock.now(), { iss })), fenced)).toMatchObject({
      code: 'access.issuer-unavailable',
      what: expect.stringContaining('TOWPATH_OUTGOING_ALLOW') as string,
    });
});

test('keys of other kinds, and ones too weak, verify nothing', async () => {
  const text = await actions.sign(actionsClaims(clock.now()), { kid: 'k' });
  for (const key of [
    { kty: 'oct', kid: 'k', k: base64url.encode('secret'), alg: 'RS256' },
    { kty: 'RSA', kid: 'k', n: base64url.encode(new Uint8Array(64).fill(255)), e: 'AQAB', alg: 'RS256' },
    { kty: 'RSA', kid: 'k' },
  ]) {
    actions.instead.set('keys', json({ keys: [key] }));
    clock.advance(20 * SECOND);
    expect((await told(text)).code).toBe('access.identity-untrue');
  }
});

test('whatever the bytes are, nothing but a typed error comes of them', async () => {
  const sound = await actions.sign(actionsClaims(clock.now()));
  const parts = fc.array(
    fc.oneof(
      fc.base64String(),
      fc.json().map((text) => base64url.encode(text)),
    ),
    { maxLength: 5 },
  );
  const spoilt = fc
    .tuple(fc.nat(sound.length - 1), fc.string({ unit: 'binary', minLength: 1, maxLength: 3 }))
    .map(([at, text]) => sound.slice(0, at) + text + sound.slice(at + 1))
    .filter((text) => text !== sound);
  const header = fc
    .record({ alg: fc.constantFrom('RS256', 'ES256', 'none', 'HS256', 7), kid: fc.jsonValue(), crit: fc.jsonValue() })
    .map((head) => [base64url.encode(JSON.stringify(head)), ...sound.split('.').slice(1)].join('.'));
  const any = fc.oneof(
    fc.string({ unit: 'binary' }),
    parts.map((some) => some.join('.')),
    spoilt,
    header,
  );
  await fc.assert(
    fc.asyncProperty(any, async (text) => {
      const outcome: unknown = await verify(text).catch((error: unknown) => error);
      // the last letter of a signature may have bits that mean nothing
      if (!(outcome instanceof Error)) expect(text.slice(0, -1)).toBe(sound.slice(0, -1));
      else expect(problemOf(outcome).code).toMatch(/^access\.(identity-malformed|identity-untrue|issuer-unavailable)$/);
    }),
    cases(300),
  );
});

function json(value: unknown): (response: ServerResponse) => void {
  return (response) => void response.end(JSON.stringify(value));
}
