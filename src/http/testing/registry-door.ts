import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createGuard, type Guard } from '../../access/guard.ts';
import { createPasses } from '../../access/registry-pass.ts';
import { memoryKeeper } from '../../access/testing.ts';
import { systemClock } from '../../lib/clock.ts';
import { createEmbeddedRegistry, type EmbeddedRegistry } from '../../registry/embedded/embedded.ts';
import { serve } from '../../registry/testing/served.ts';
import { createRegistryDoor } from '../registry-door.ts';

/** The embedded registry behind its door, on a port of its own. */
export interface GuardedRegistry {
  readonly host: string;
  /** Its own folder, and room for what clients keep. */
  readonly directory: string;
  readonly embedded: EmbeddedRegistry;
  readonly guard: Guard;
  /** May push into the project `shop`, and may do nothing elsewhere. */
  readonly token: string;
  close(): Promise<void>;
}

export async function startGuardedRegistry(): Promise<GuardedRegistry> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-guarded-'));
  const guard = createGuard({ keeper: memoryKeeper(), clock: systemClock, random: randomBytes });
  const passes = createPasses(randomBytes(32), systemClock);
  let made: EmbeddedRegistry | undefined;
  const served = await serve(async (host) => {
    const embedded = await createEmbeddedRegistry({ directory: join(directory, 'registry'), host });
    made = embedded;
    const door = createRegistryDoor({ registry: embedded, guard, passes, openToLoopback: false });
    return (request, response) => void door(request, response);
  });
  if (made === undefined) throw new Error('The registry was not made.');
  const { secret } = await guard.createToken({ name: 'ci', user: 'ci', roles: ['operator'], projects: ['shop'] });
  return {
    host: served.host,
    directory,
    embedded: made,
    guard,
    token: secret,
    close: async () => {
      await served.close();
      await rm(directory, { recursive: true });
    },
  };
}
