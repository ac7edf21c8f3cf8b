import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { TestProject } from 'vitest/node';

import { stopEmbeddedPostgres } from '../embedded/postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder of this run's embedded Postgres; the first test that asks for a store starts it. */
    postgresDirectory: string;
  }
}

/** Names the folder of the run's embedded Postgres, and ends that server when the run ends. */
export async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-pg-'));
  await chmod(directory, 0o711); // the server runs as another user when we are root
  provide('postgresDirectory', join(directory, 'pg'));
  return async () => {
    await stopEmbeddedPostgres(join(directory, 'pg'));
    await rm(directory, { recursive: true, force: true });
  };
}
