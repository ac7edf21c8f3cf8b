import { randomBytes } from 'node:crypto';

import { expect, test } from 'vitest';

import { fixedClock } from '../lib/clock.ts';
import { createGuard } from './guard.ts';
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
  const ada = { credentialId: 'tok_1', user: 'ada', roles: ['viewer'], kind: 'token' } as const;
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

test("with a token go the sessions that it may have opened, and nobody else's", async () => {
  const { guard } = parts();
  const ada = await guard.createToken(wish);
  const principal = await guard.identify(ada.secret, 'token');
  if (principal === null) throw new Error('The token is valid.');
  const mine = await guard.openSession((await guard.invite(principal)).code);
  const bobs = await guard.openSession((await guard.invite({ ...principal, user: 'bob' })).code);
  await guard.revokeToken(ada.credential.id);
  expect(await guard.identify(mine.secret, 'session')).toBeNull();
  expect(await guard.identify(bobs.secret, 'session')).not.toBeNull();
});

test('a token with a role that does not exist is not made', async () => {
  const { guard } = parts();
  await expect(guard.createToken({ ...wish, roles: ['owner'] })).rejects.toMatchObject({ code: 'access.role-invalid' });
  await expect(guard.createToken({ ...wish, roles: [] })).rejects.toMatchObject({ code: 'access.role-invalid' });
});

test('nobody is let in without a permission, and the refusal names who could help', () => {
  const { guard } = parts();
  const viewer = { credentialId: 'tok_1', user: 'eve', roles: ['viewer'], kind: 'token' } as const;
  expect(() => guard.allow(null, 'matrix.read')).toThrow(expect.objectContaining({ code: 'access.unauthenticated' }));
  expect(() => guard.allow(viewer, 'release.yank')).toThrow(
    expect.objectContaining({ code: 'access.forbidden', fix: expect.stringContaining('operator') }),
  );
  expect(guard.allow(viewer, 'matrix.read')).toBe(viewer);
  expect(guard.allow(null, 'server.health')).toBeNull();
});
