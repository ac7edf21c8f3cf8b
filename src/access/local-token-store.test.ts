import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { fixedClock } from '../lib/clock.ts';
import { createGuard } from './guard.ts';
import { ensureLocalToken, localTokenFile, readLocalToken } from './local-token-store.ts';
import { memoryKeeper } from './testing.ts';

async function parts() {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-token-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const guard = createGuard({ keeper: memoryKeeper(), clock: fixedClock(0), random: randomBytes });
  return { directory: join(directory, 'data'), guard };
}

test('the first start leaves a token that only the owner can read, and later starts keep it', async () => {
  const { directory, guard } = await parts();
  expect(await readLocalToken(directory)).toBeNull();
  await ensureLocalToken(guard, directory, 'ada');
  const secret = await readLocalToken(directory);
  expect(await guard.identify(secret ?? '', 'token')).toMatchObject({ user: 'ada', roles: ['admin'] });
  expect((await stat(localTokenFile(directory))).mode & 0o777).toBe(0o600);
  await ensureLocalToken(guard, directory, 'ada');
  expect(await readLocalToken(directory)).toBe(secret);
  expect(await readdir(directory)).toEqual(['token']);
});

test('one that was revoked, or is of another store, is replaced', async () => {
  const { directory, guard } = await parts();
  await ensureLocalToken(guard, directory, 'ada');
  const secret = await readLocalToken(directory);
  const [token] = await guard.tokens();
  await guard.revokeToken(token?.id ?? '');
  await ensureLocalToken(guard, directory, 'ada');
  const fresh = await readLocalToken(directory);
  expect(fresh).not.toBe(secret);
  expect(await guard.identify(fresh ?? '', 'token')).not.toBeNull();
});
