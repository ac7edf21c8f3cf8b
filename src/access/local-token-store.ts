import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { writeDurably } from '../lib/durable-file.ts';
import type { Guard } from './guard.ts';

/** Where the command line on the server's own machine finds the token of whoever owns the data directory. */
export function localTokenFile(dataDirectory: string): string {
  return join(dataDirectory, 'token');
}

/** @returns null when there is none, or another user owns it */
export async function readLocalToken(dataDirectory: string): Promise<string | null> {
  try {
    const secret = (await readFile(localTokenFile(dataDirectory), 'utf8')).trim();
    return secret === '' ? null : secret;
  } catch {
    return null;
  }
}

/**
 * Sees to it that the owner of the data directory has an admin token in it, readable by nobody else. One that works
 * stays; it may be revoked like any other, and the next start then makes a new one.
 */
export async function ensureLocalToken(guard: Guard, dataDirectory: string, user: string): Promise<void> {
  const present = await readLocalToken(dataDirectory);
  if (present !== null && (await guard.identify(present, 'token')) !== null) return;
  const { secret } = await guard.createToken({ name: 'this machine', user, roles: ['admin'] });
  const file = localTokenFile(dataDirectory);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeDurably(file, `${secret}\n`);
}
