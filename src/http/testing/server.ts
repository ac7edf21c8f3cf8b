import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';

import type { FastifyInstance } from 'fastify';

import { createGuard, type Guard } from '../../access/guard.ts';
import type { Role } from '../../access/permission.ts';
import { createPasses, type Passes } from '../../access/registry-pass.ts';
import { memoryKeeper } from '../../access/testing.ts';
import { fixedClock } from '../../lib/clock.ts';
import type { Faces } from '../faces.ts';
import { createServer } from '../server.ts';
import { fakeUseCases } from './fake-use-cases.ts';
import { memoryAnswers } from './memory-answers.ts';
import { START } from './world.ts';

export interface TestServer {
  readonly server: FastifyInstance;
  readonly useCases: ReturnType<typeof fakeUseCases>;
  readonly guard: Guard;
  readonly passes: Passes;
  readonly clock: ReturnType<typeof fixedClock>;
  /** A token of a user with this role. */
  token(role: Role, user?: string): Promise<string>;
  /** Listens on a port of the system's choice. @returns the base URL */
  listen(): Promise<string>;
}

/** The real server over the fake use cases. */
export async function testServer(parts: Partial<Faces> = {}): Promise<TestServer> {
  const clock = fixedClock(Date.parse(START));
  const guard = createGuard({ keeper: memoryKeeper(), clock, random: randomBytes });
  const passes = createPasses(randomBytes(32), clock);
  const useCases = fakeUseCases();
  const web = fileURLToPath(new URL('../../../web', import.meta.url));
  const server = await createServer({
    useCases,
    guard,
    passes,
    answers: memoryAnswers(),
    clock,
    ready: () => Promise.resolve(),
    version: '0.1.0',
    web,
    ...parts,
  });
  return {
    server,
    useCases,
    guard,
    passes,
    clock,
    token: async (role, user = 'ada') => (await guard.createToken({ name: 'test', user, roles: [role] })).secret,
    listen: () => server.listen({ host: '127.0.0.1', port: 0 }),
  };
}
