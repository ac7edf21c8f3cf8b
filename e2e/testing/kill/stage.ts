import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Client } from '../../../src/cli/client.ts';
import { freePort } from '../../../src/lib/port.ts';
import { openStore, type Store } from '../../../src/store/database.ts';
import { prepareHome } from '../../../src/store/embedded/home.ts';
import { serverUser } from '../../../src/store/embedded/user.ts';
import { EMPTY, testDatabase } from '../../../src/store/testing.ts';
import { createRepository, type TestRepository } from '../repository.ts';
import { startServer, type TestServer, until } from '../server.ts';

/** One installation on which operations are performed and killed, one after another. */
export interface Stage {
  readonly data: string;
  readonly repository: TestRepository;
  readonly store: Store;
  /** Asks a server that lives. */
  readonly client: () => Client;
  /** What the servers have said so far. */
  readonly output: () => string;
  /** The server that passes this boundary next ends there, by SIGKILL. */
  arm(boundary: string): Promise<void>;
  /** Waits for the kill. One server alone is started again at once; of two, the other has to go on by itself. */
  killed(): Promise<void>;
  /** Waits until the work that the kill interrupted is in the hands of a server that lives, or done. */
  takenOver(withinMs: number): Promise<void>;
  /** Starts the server that was killed, if it still lies there. */
  heal(): Promise<void>;
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

async function openStage({ workers, databaseUrl, drop }: StageOptions): Promise<Stage> {
  const data = await mkdtemp(join(tmpdir(), 'towpath-kill-'));
  const armed = join(data, 'armed');
  const trace = join(data, 'trace');
  const firstPort = String((nextRange += 50));
  const start = async (): Promise<TestServer> =>
    startServer({
      data,
      port: await freePort('127.0.0.1'),
      ...(databaseUrl === undefined ? {} : { databaseUrl }),
      env: {
        TOWPATH_FAULT: `@${armed}`,
        TOWPATH_FAULT_TRACE: trace,
        TOWPATH_FIRST_PORT: firstPort,
        TOWPATH_POLL_MS: '250',
      },
    });
  const repository = await createRepository();
  const servers = [await start()];
  if (workers === 2) servers.push(await start());
  const store = await openStore(databaseUrl ?? (await embeddedUrl(data)), { maxConnections: 3 });
  const dead = (): TestServer | undefined => servers.find(({ process }) => hasEnded(process));
  const living = (): TestServer => {
    const found = servers.find(({ process }) => !hasEnded(process));
    if (found === undefined) throw new Error('No server lives.');
    return found;
  };
  const heal = async (): Promise<void> => {
    await dead()?.restart();
  };
  let seen = 0;
  let victim = 0;
  return {
    data,
    repository,
    store,
    client: () => living().client,
    output: () => servers.map((server) => server.output()).join('\n'),
    arm: (boundary) => writeFile(armed, boundary),
    async killed() {
      await until(
        () => dead() ?? null,
        60_000,
        async () => `${await readFile(armed, 'utf8')} was not passed`,
      );
      if (workers === 1) await heal();
    },
    async takenOver(withinMs) {
      await until(
        async () => ((await workOf(store, victim)) === 0 ? true : null),
        withinMs,
        () => living().output(),
      );
    },
    heal,
    async passed() {
      const names = (await readFile(trace, 'utf8').catch(() => '')).split('\n').filter((name) => name !== '');
      const since = names.slice(seen);
      seen = names.length;
      return since;
    },
    async dispose() {
      await store.close();
      await Promise.all(servers.map((server) => server.kill()));
      await servers[0]?.dispose();
      await Promise.all([rm(data, { recursive: true, force: true, maxRetries: 5 }), repository.remove(), drop()]);
    },
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

async function embeddedUrl(data: string): Promise<string> {
  const { sockets } = await prepareHome(join(data, 'pg'), await serverUser());
  return `postgresql://towpath@localhost/towpath?host=${encodeURIComponent(sockets)}`;
}
