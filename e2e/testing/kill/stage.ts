import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Client } from '../../../src/cli/client.ts';
import { freePort } from '../../../src/lib/port.ts';
import { wakeRepository } from '../../../src/source/wake-store.ts';
import { openStore, type Store } from '../../../src/store/database.ts';
import { prepareHome } from '../../../src/store/embedded/home.ts';
import { serverUser } from '../../../src/store/embedded/user.ts';
import { EMPTY, testDatabase } from '../../../src/store/testing.ts';
import { createRepository, type TestRepository } from '../repository.ts';
import { startServer, type TestServer, until } from '../server.ts';
import { openWorld, type World } from './world.ts';

export const PROJECT = 'boats';

/** One installation on which operations are performed and killed, one after another. */
export interface Stage {
  readonly data: string;
  readonly repository: TestRepository;
  /** Of the second project: rafts are built upon bases, and by others. */
  readonly rafts: TestRepository;
  readonly store: Store;
  /** What its programs ask how they are. */
  readonly world: World;
  /** Asks a server that lives. */
  readonly client: () => Client;
  /** What the servers have said so far. */
  readonly output: () => string;
  /** Has the repository polled now; it is not polled by itself, so that no kill finds a server in the midst of it. */
  wake(): Promise<void>;
  /** The server that passes this boundary (the n-th time from now on, with `#n`) ends there, by SIGKILL. */
  arm(boundary: string): Promise<void>;
  /**
   * Waits for the kill. One server alone is started again at once; of two, the other has to go on by itself.
   * @param isResumed whether something has to be under way then that a server goes on with
   */
  killed(isResumed: boolean): Promise<void>;
  /** Waits until the work that the kill interrupted is in the hands of a server that lives, or done. */
  takenOver(withinMs: number): Promise<void>;
  /** Starts the server that was killed, if it still lies there. */
  heal(): Promise<void>;
  /** Waits for the sweep of the registry that each server begins when it starts. */
  sweptAtStart(): Promise<void>;
  /** The boundaries passed since the last call, in order. */
  passed(): Promise<string[]>;
  dispose(): Promise<void>;
}

interface StageOptions {
  readonly workers: 1 | 2;
  readonly databaseUrl?: string;
  readonly drop: () => Promise<void>;
}

/** `towpath up`: everything on one machine, with its own Postgres. */
export function embeddedStage(): Promise<Stage> {
  return openStage({ workers: 1, drop: () => Promise.resolve() });
}

/** Two workers of `towpath serve` on an external Postgres; they share the machine, and so its registry and its driver. */
export async function sharedStage(postgres: string): Promise<Stage> {
  const { url, drop } = await testDatabase({ server: postgres, template: EMPTY });
  return openStage({ workers: 2, databaseUrl: url, drop });
}

/** Stages beside each other have ranges of their own for the addresses of their services. */
let nextRange = 31_000 + (process.pid % 100) * 100;

/** Ends what the stages left when the run is broken off, which closes its input. */
const reaper = spawn(process.execPath, [fileURLToPath(new URL('reaper.js', import.meta.url))], {
  stdio: ['pipe', 'ignore', 'inherit'],
  detached: true,
});
reaper.unref();

async function openStage(options: StageOptions): Promise<Stage> {
  const ends: (() => Promise<unknown>)[] = [options.drop];
  /** Each end is tried, the last thing first, whatever becomes of the others. */
  const dispose = async (): Promise<void> => {
    const problems: unknown[] = [];
    for (const end of ends.splice(0).toReversed()) await end().catch((error: unknown) => problems.push(error));
    if (problems.length > 0) throw new AggregateError(problems, 'A stage could not be taken down.');
  };
  try {
    return await setUp(options, ends, dispose);
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** @param ends gets what takes each thing down that was set up */
async function setUp(
  { workers, databaseUrl }: StageOptions,
  ends: (() => Promise<unknown>)[],
  dispose: () => Promise<void>,
): Promise<Stage> {
  const data = await mkdtemp(join(tmpdir(), 'towpath-kill-'));
  reaper.stdin.write(`${data}\n`);
  ends.push(() => rm(data, { recursive: true, force: true, maxRetries: 5 }));
  await chmod(data, 0o711); // else Postgres, which runs as another user, would keep its data elsewhere
  const repository = await createRepository();
  ends.push(() => repository.remove());
  const rafts = await createRepository();
  ends.push(() => rafts.remove());
  const world = await openWorld();
  ends.push(() => world.close());
  const armed = join(data, 'armed');
  const trace = join(data, 'trace');
  const firstPort = String((nextRange += 50));
  const servers: TestServer[] = [];
  for (let i = 0; i < workers; i++) {
    const server = await startServer({
      data,
      port: await freePort('127.0.0.1'),
      ...(databaseUrl === undefined ? {} : { databaseUrl }),
      env: {
        TOWPATH_FAULT: `@${armed}`,
        TOWPATH_FAULT_TRACE: trace,
        TOWPATH_FIRST_PORT: firstPort,
        TOWPATH_POLL_MS: String(3_600_000),
        TOWPATH_CARE_MS: String(3_600_000),
      },
    });
    ends.push(() => server.dispose());
    servers.push(server);
  }
  ends.push(() => Promise.all(servers.map((server) => server.kill())));
  const store = await openStore(databaseUrl ?? (await embeddedUrl(data)), { maxConnections: 3 });
  ends.push(() => store.close());
  const dead = (): TestServer | undefined => servers.find(({ process }) => hasEnded(process));
  const living = (): TestServer => {
    const found = servers.find(({ process }) => !hasEnded(process));
    if (found === undefined) throw new Error('No server lives.');
    return found;
  };
  const allPassed = async (): Promise<string[]> =>
    (await readFile(trace, 'utf8').catch(() => '')).split('\n').filter((name) => name !== '');
  const sweepsByCare = async (): Promise<number> =>
    (await allPassed()).filter((name) => name === 'care:blobs:done').length;
  let sweepsDue = workers;
  const heal = async (): Promise<void> => {
    const server = dead();
    if (server === undefined) return;
    sweepsDue = (await sweepsByCare()) + 1;
    await server.restart();
  };
  let seen = 0;
  let victim = 0;
  return {
    data,
    repository,
    rafts,
    store,
    world,
    client: () => living().client,
    output: () => servers.map((server) => server.output()).join('\n'),
    async wake() {
      const repositories = await store.db.selectFrom('repository').select('id').execute();
      await store.transaction(async (tx) => {
        for (const { id } of repositories) await wakeRepository(tx, id, Date.now());
      });
    },
    arm: (boundary) => writeFile(armed, boundary),
    async killed(isResumed) {
      const { process } = await until(
        () => dead() ?? null,
        120_000,
        async () => `${await readFile(armed, 'utf8').catch(() => 'What was armed')} was not passed`,
      );
      victim = process.pid ?? 0;
      if (workers === 2) return;
      if (isResumed && (await workOf(store, victim)) === 0)
        throw new Error('The server that was killed had nothing under way.');
      await heal();
    },
    async takenOver(withinMs) {
      await until(
        async () => ((await workOf(store, victim)) === 0 ? true : null),
        withinMs,
        () => living().output(),
      );
    },
    heal,
    async sweptAtStart() {
      await until(async () => ((await sweepsByCare()) >= sweepsDue ? true : null));
    },
    async passed() {
      const names = await allPassed();
      const since = names.slice(seen);
      seen = names.length;
      return since;
    },
    dispose,
  };
}

function hasEnded({ exitCode, signalCode }: { exitCode: number | null; signalCode: string | null }): boolean {
  return exitCode !== null || signalCode !== null;
}

/** How much is under way by the process of this id, which stands in the name of its executor. */
async function workOf({ pool }: Store, pid: number): Promise<number> {
  const { rows } = await pool.query<{ left: string | number }>(
    `select count(*) as left from dbos.workflow_status where status = 'PENDING' and executor_id like $1`,
    [`%:${pid}:%`],
  );
  return Number(rows[0]?.left);
}

/** Of the Postgres that a server has in its data, while it runs. */
export async function embeddedUrl(data: string): Promise<string> {
  const { sockets } = await prepareHome(join(data, 'pg'), await serverUser());
  return `postgresql://towpath@localhost/towpath?host=${encodeURIComponent(sockets)}`;
}
