import { randomBytes } from 'node:crypto';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { fixedClock } from '../lib/clock.ts';
import type { Principal } from './credential.ts';
import { createGuard, type Guard } from './guard.ts';
import { OPERATION_NAMES, operationOf } from './operation.ts';
import { memoryKeeper } from './testing.ts';

const MINUTE_MS = 60_000;

function parts() {
  const clock = fixedClock(1_000_000);
  const keeper = memoryKeeper();
  return { clock, keeper, guard: createGuard({ keeper, clock, random: randomBytes }) };
}

const wish = { name: 'laptop', user: 'ada', roles: ['developer'] };

test('a token tells who calls, until it ends or is revoked', async () => {
  const { guard, clock } = parts();
  const { secret, credential } = await guard.createToken({ ...wish, ttlMs: MINUTE_MS });
  expect(secret).toMatch(/^twp_[A-Za-z0-9_-]{43}$/);
  expect(await guard.identify(secret, 'token')).toMatchObject({ user: 'ada', roles: ['developer'] });
  clock.advance(MINUTE_MS);
  expect(await guard.identify(secret, 'token')).toBeNull();

  const lasting = await guard.createToken(wish);
  await guard.revokeToken(lasting.credential.id);
  expect(await guard.identify(lasting.secret, 'token')).toBeNull();
  await expect(guard.revokeToken(lasting.credential.id)).rejects.toMatchObject({ code: 'access.token-missing' });
  expect(credential).not.toHaveProperty('secret');
});

test('a token is not a session, and a session is not a token', async () => {
  const { guard } = parts();
  const { secret } = await guard.createToken(wish);
  expect(await guard.identify(secret, 'session')).toBeNull();
  expect(await guard.identify(secret.replace('twp_', 'tws_'), 'session')).toBeNull();
});

test('a one-time code opens one session only, also when it is sent twice at once', async () => {
  const { guard } = parts();
  const { secret } = await guard.createToken(wish);
  const principal = await guard.identify(secret, 'token');
  if (principal === null) throw new Error('The token is valid.');
  const { code } = await guard.invite(principal);
  const outcomes = await Promise.allSettled([guard.openSession(code), guard.openSession(code)]);
  expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  await expect(guard.openSession(code)).rejects.toMatchObject({ code: 'access.code-invalid' });
});

test('a code is dead after two minutes, a session after twelve hours or when it is closed', async () => {
  const { guard, clock } = parts();
  const { principal: ada } = await holder(guard);
  const old = await guard.invite(ada);
  clock.advance(2 * MINUTE_MS);
  await expect(guard.openSession(old.code)).rejects.toMatchObject({ code: 'access.code-invalid' });

  const { secret, principal } = await guard.openSession((await guard.invite(ada)).code);
  expect(await guard.identify(secret, 'session')).toMatchObject({ user: 'ada', kind: 'session' });
  await guard.closeSession(principal);
  expect(await guard.identify(secret, 'session')).toBeNull();

  const later = await guard.openSession((await guard.invite(ada)).code);
  clock.advance(12 * 60 * MINUTE_MS);
  expect(await guard.identify(later.secret, 'session')).toBeNull();
});

test('with a token that is revoked go its sessions and codes at once, and no others', async () => {
  const { guard } = parts();
  const lost = await holder(guard);
  const kept = await holder(guard);
  const open = async ({ principal }: typeof lost) => guard.openSession((await guard.invite(principal)).code);
  const [ofLost, ofKept, code] = [await open(lost), await open(kept), await guard.invite(lost.principal)];
  await guard.revokeToken(lost.id);
  expect(await guard.identify(ofLost.secret, 'session')).toBeNull();
  await expect(guard.openSession(code.code)).rejects.toMatchObject({ code: 'access.code-invalid' });
  expect(await guard.identify(ofKept.secret, 'session')).toMatchObject({ user: 'ada', tokenId: kept.id });
});

test('neither a code nor a session lives longer than its token, and their ends say so', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 20 * 60 }), fc.integer({ min: 0, max: 119 }), async (ttl, later) => {
      const { guard, clock } = parts();
      const token = await guard.createToken({ ...wish, ttlMs: ttl * MINUTE_MS });
      const ends = clock.now() + ttl * MINUTE_MS;
      const principal = await guard.identify(token.secret, 'token');
      if (principal === null) throw new Error('The token is valid.');
      const { code, expiresAtMs } = await guard.invite(principal);
      expect(expiresAtMs).toBeLessThanOrEqual(ends);
      clock.advance(later * 1000);
      if (clock.now() >= ends) return;
      const session = await guard.openSession(code);
      expect(session.expiresAtMs).toBe(Math.min(ends, clock.now() + 12 * 60 * MINUTE_MS));
      clock.advance(session.expiresAtMs - clock.now() - 1);
      expect(await guard.identify(session.secret, 'session')).not.toBeNull();
      clock.advance(1);
      expect(await guard.identify(session.secret, 'session')).toBeNull();
    }),
  );
});

test('a session opens no other one: whoever got hold of it has it for twelve hours at most', async () => {
  const { guard } = parts();
  const { principal } = await holder(guard);
  const session = await guard.openSession((await guard.invite(principal)).code);
  await expect(guard.invite(session.principal)).rejects.toMatchObject({ code: 'access.session-refused' });
});

/** Somebody with a token of their own. */
async function holder(guard: Guard) {
  const { secret, credential } = await guard.createToken(wish);
  const principal = await guard.identify(secret, 'token');
  if (principal === null) throw new Error('The token is valid.');
  return { principal, id: credential.id };
}

test('a token with a role that does not exist is not made', async () => {
  const { guard } = parts();
  await expect(guard.createToken({ ...wish, roles: ['owner'] })).rejects.toMatchObject({ code: 'access.role-invalid' });
  await expect(guard.createToken({ ...wish, roles: [] })).rejects.toMatchObject({ code: 'access.role-invalid' });
});

test('nobody is let in without a permission, and the refusal names who could help', () => {
  const { guard } = parts();
  const viewer = principal({ roles: ['viewer'] });
  expect(() => guard.allow(null, 'matrix.read')).toThrow(expect.objectContaining({ code: 'access.unauthenticated' }));
  expect(() => guard.allow(viewer, 'release.yank')).toThrow(
    expect.objectContaining({ code: 'access.forbidden', fix: expect.stringContaining('operator') }),
  );
  expect(guard.allow(viewer, 'matrix.read')).toBe(viewer);
  expect(guard.allow(null, 'server.health')).toBeNull();
});

test('a token that is limited to projects reaches them and itself, and nothing of the installation', () => {
  const { guard } = parts();
  const limited = principal({ roles: ['admin'], projects: ['shop'] });
  const refused = expect.objectContaining({ code: 'access.forbidden', what: expect.stringContaining('shop') });
  for (const name of OPERATION_NAMES) {
    const { route, needs } = operationOf(name);
    if (!route.includes('/:project')) continue;
    expect(guard.allow(limited, name, 'shop'), name).toBe(limited);
    for (const other of ['docs', null]) expect(() => guard.allow(limited, name, other), name).toThrow(refused);
    expect(needs).not.toBe('public');
  }
  for (const name of ['token.create', 'token.list', 'token.revoke', 'project.add', 'audit.list'] as const) {
    expect(() => guard.allow(limited, name, 'shop'), name).toThrow(refused);
  }
  expect(() => guard.allow(limited, 'matrix.read', 'docs')).toThrow(refused);
  expect(guard.allow(limited, 'matrix.read', 'shop')).toBe(limited);
  expect(guard.allow(limited, 'access.me')).toBe(limited);
});

test('a session reaches what its token does', async () => {
  const { guard } = parts();
  const { secret } = await guard.createToken({ ...wish, projects: ['shop'] });
  const known = await guard.identify(secret, 'token');
  expect(known?.projects).toEqual(['shop']);
  const session = await guard.openSession((await guard.invite(known ?? principal({}))).code);
  expect(session.principal.projects).toEqual(['shop']);
  expect((await guard.identify(session.secret, 'session'))?.projects).toEqual(['shop']);
  await expect(guard.createToken({ ...wish, projects: [] })).rejects.toMatchObject({ code: 'access.project-invalid' });
});

test('the job of a CI gets a token of an hour that reports in one project, and opens nothing else', async () => {
  const { guard, clock, keeper } = parts();
  const run = 'https://github.com/team/shop/actions/runs/7';
  const job = {
    name: 'actions',
    issuer: 'https://ci.example',
    subject: 'repo:team/shop',
    commit: null,
    ref: null,
    run,
  };
  const { secret, credential } = await guard.admit(job, 'shop');
  const known = await guard.identify(secret, 'token');
  expect(known).toMatchObject({ user: 'oidc:actions', roles: ['ci'], projects: ['shop'], identity: job });
  expect(guard.allow(known, 'artifact.report', 'shop')).toBe(known);
  expect(() => guard.allow(known, 'artifact.report', 'docs')).toThrow(/limited to shop/);
  for (const name of OPERATION_NAMES.filter((one) => !['public', 'access:self'].includes(operationOf(one).needs)))
    if (operationOf(name).needs !== 'artifact:report') expect(() => guard.allow(known, name, 'shop'), name).toThrow();
  await expect(guard.invite(known ?? principal({}))).rejects.toMatchObject({ code: 'access.session-refused' });

  expect(await guard.tokens()).toMatchObject([{ id: credential.id, name: run }]);
  clock.advance(60 * MINUTE_MS);
  expect(await guard.identify(secret, 'token')).toBeNull();
  clock.advance(1);
  await guard.admit(job, 'shop'); // those that have ended do not pile up
  expect(await keeper.byId(credential.id)).toBeNull();
});

function principal(more: Partial<Principal>): Principal {
  const known = { credentialId: 'tok_1', tokenId: 'tok_1', user: 'eve', kind: 'token', endsAtMs: null } as const;
  return { ...known, roles: [], projects: null, identity: null, ...more };
}
