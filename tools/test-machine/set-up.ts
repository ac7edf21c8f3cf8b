import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the keeper of this run's services listens; ask it by the functions of `machine.ts`. */
    keeperSocket: string;
  }
}

/** Starts the keeper, which starts nothing until a test asks: runs that need no service do not pay for one. */
export async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-test-'));
  await chmod(directory, 0o711); // Postgres runs as another user, in a folder below
  const keeper = spawn(process.execPath, [fileURLToPath(new URL('keeper.js', import.meta.url)), directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  const ended = once(keeper, 'exit');
  await Promise.race([
    once(keeper.stdout, 'data'),
    ended.then(() => Promise.reject(new Error('The keeper of the test services did not start.'))),
  ]);
  provide('keeperSocket', join(directory, 'ask.sock'));
  return async () => {
    keeper.stdin.end();
    await ended;
  };
}
