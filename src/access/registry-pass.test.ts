import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SignJWT } from 'jose';
import { expect, onTestFinished, test } from 'vitest';

import { fixedClock } from '../lib/clock.ts';
import type { Principal } from './credential.ts';
import { ensureRegistryKey } from './registry-key-store.ts';
import { createPasses, PASS_SERVICE } from './registry-pass.ts';
import { parseScopes } from './repository-scope.ts';

const asked = parseScopes(['repository:shop/web:pull,push', 'repository:docs/site:pull']);
const operator: Principal = {
  credentialId: 'tok_1',
  tokenId: 'tok_1',
  user: 'olga',
  roles: ['operator'],
  projects: ['shop'],
  kind: 'token',
  endsAtMs: null,
  identity: null,
};

function parts() {
  const clock = fixedClock(1_000_000);
  const key = randomBytes(32);
  return { clock, key, passes: createPasses(key, clock) };
}

test('a pass says who holds it and what it opens, for five minutes', async () => {
  const { clock, passes } = parts();
  const { pass, granted, ttlSeconds } = await passes.issue(operator, asked);
  expect(granted).toEqual(parseScopes(['repository:shop/web:pull,push']));
  expect(ttlSeconds).toBe(300);
  expect(await passes.read(pass)).toEqual({ user: 'olga', granted, asked });
  clock.advance(299_000);
  expect(await passes.read(pass)).not.toBeNull();
  clock.advance(1_000);
  expect(await passes.read(pass)).toBeNull();
});

test('a pass does not outlive its token', async () => {
  const { clock, passes } = parts();
  const { pass, ttlSeconds } = await passes.issue({ ...operator, endsAtMs: clock.now() + 10_000 }, asked);
  expect(ttlSeconds).toBe(10);
  clock.advance(10_000);
  expect(await passes.read(pass)).toBeNull();
});

test('a pass that somebody changed, or signed with another key or algorithm, opens nothing', async () => {
  const { clock, passes } = parts();
  const { pass } = await passes.issue({ ...operator, roles: ['viewer'] }, asked);
  const [header = '', body = '', signature = ''] = pass.split('.');
  const more = Buffer.from(body, 'base64url').toString().replace('"pull"]', '"pull","push"]');
  const encoded = (text: string) => Buffer.from(text).toString('base64url');
  const foreign = (await createPasses(randomBytes(32), clock).issue(operator, asked)).pass;
  for (const wrong of [
    `${header}.${encoded(more)}.${signature}`,
    `${encoded('{"alg":"none","typ":"JWT"}')}.${body}.`,
    `${header}.${body}.`,
    `${header}.${body}`,
    `${pass}.x`,
    `${header}..${signature}`,
    foreign,
    '',
    'twp_abc',
  ]) {
    expect(await passes.read(wrong)).toBeNull();
  }
});

test('a token that our key signed for another purpose opens nothing', async () => {
  const { clock, key, passes } = parts();
  const { granted } = await passes.issue(operator, asked);
  const signed = (alg: string, audience: string, ends = true) => {
    const token = new SignJWT({ granted, asked }).setProtectedHeader({ alg, typ: 'JWT' });
    if (ends) token.setExpirationTime(clock.now() / 1000 + 60);
    return token.setIssuer(PASS_SERVICE).setAudience(audience).setSubject('olga').sign(key);
  };
  expect(await passes.read(await signed('HS256', PASS_SERVICE))).not.toBeNull();
  const wrong = [signed('HS256', 'other'), signed('HS256', PASS_SERVICE, false)];
  for (const pass of await Promise.all(wrong)) expect(await passes.read(pass)).toBeNull();
  await expect(signed('HS512', PASS_SERVICE).then((pass) => passes.read(pass))).resolves.toBeNull();
});

test('without a token one pulls at most', async () => {
  const { passes } = parts();
  const { pass } = await passes.issueAnonymous(asked);
  expect((await passes.read(pass))?.granted).toEqual(
    parseScopes(['repository:shop/web:pull', 'repository:docs/site:pull']),
  );
});

test('the key is made once, whoever comes first, and only its owner reads it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-key-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const keys = await Promise.all(Array.from({ length: 8 }, () => ensureRegistryKey(directory)));
  expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
  const file = join(directory, 'registry-key');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await chmod(file, 0o600);
  await writeFile(file, 'cut sho');
  expect(await ensureRegistryKey(directory)).toHaveLength(32);
  expect(await ensureRegistryKey(directory)).toEqual(await ensureRegistryKey(directory));
});
