import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

import pg from 'pg';
import { z } from 'zod';

import { DISK_FULL } from '../../lib/disk-full.ts';
import type { Problem } from '../../lib/error.ts';
import { writeDurably } from '../../lib/durable-file.ts';
import { StoreError } from '../error.ts';
import { findBinaries } from './binaries.ts';
import type { PostgresBinaries } from './binaries.ts';
import { prepareHome } from './home.ts';
import type { Home } from './home.ts';
import { keepUp } from './keep-up.ts';
import { identityOf, isAlive } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { serverUser } from './user.ts';
import type { ServerUser } from './user.ts';

export interface EmbeddedPostgres {
  /** The database `towpath`, over the Unix socket: the server listens on no port. */
  readonly url: string;
  /** Ends the server if this process supervises it; a server that a living process supervises is only used. Safe to repeat. */
  readonly stop: () => Promise<void>;
}

export interface EmbeddedOptions {
  readonly directory: string;
  /** False only for tests: a power failure may lose what was acknowledged. A killed process never does. */
  readonly durable?: boolean;
  readonly settings?: Readonly<Record<string, string>>;
  readonly startTimeoutMs?: number;
  /** The server has ended by itself (a full disk, a want of memory) and is started again for as long as it takes; told once each time. */
  readonly onOutage?: (problem: Problem) => void;
}

/**
 * Starts (or adopts) the Postgres of a data directory and returns when it answers. A server that outlived its supervisor
 * (kill -9) is adopted through its socket; several processes may call this at once, Postgres's own lock file decides.
 * @throws StoreError `store.embedded-*`
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const user = await serverUser();
  const home = await prepareHome(options.directory, user);
  const binaries = await findBinaries(home.directory, user);
  await prepareData(home, binaries, user);
  await untilItAnswers(home, binaries, user, options);
  await createDatabase(home);
  await supervise(home);
  let child: ChildProcess | undefined;
  const endWatch = keepUp({
    isUp: async () => !(await isMine(home)) || (await serverOf(home)) !== undefined,
    start: async () => void (child = await spawnServer(home, binaries, user, options)),
    onEnded: async () => options.onOutage?.(ended(await logTail(home))),
  });
  return {
    url: urlOf(home, 'towpath'),
    async stop() {
      await endWatch();
      if (!(await isMine(home))) return;
      if ((await serverOf(home)) === undefined) child?.kill('SIGINT'); // it has only begun
      await stopServer(home);
      await rm(join(home.directory, SUPERVISOR), { force: true });
    },
  };
}

/** Ends the server of a data directory, whoever supervises it: nobody starts it again. */
export async function stopEmbeddedPostgres(directory: string): Promise<void> {
  if (!existsSync(directory)) return;
  const home = await prepareHome(directory, await serverUser());
  await rm(join(home.directory, SUPERVISOR), { force: true });
  await stopServer(home);
}

function urlOf(home: Home, database: string): string {
  return `postgresql://towpath@localhost/${database}?host=${encodeURIComponent(home.sockets)}`;
}

/** `initdb` writes to a draft that is renamed when whole, so that a kill leaves either no data folder or a good one. */
async function prepareData(home: Home, binaries: PostgresBinaries, user: ServerUser): Promise<void> {
  const data = join(home.directory, 'data');
  if (!existsSync(data)) {
    const draft = `${data}.${process.pid}`;
    await rm(draft, { recursive: true, force: true });
    await mkdir(draft, { mode: 0o700 });
    if (user.uid !== undefined) await chown(draft, user.uid, user.gid);
    const argv = ['-D', draft, '-U', 'towpath', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-instructions'];
    try {
      await promisify(execFile)(binaries.initdb, argv, { ...user, cwd: home.directory, env: environment() });
    } catch (cause) {
      await rm(draft, { recursive: true, force: true });
      throw failed('could not make a database', cause instanceof Error ? cause.message : String(cause));
    }
    await rename(draft, data).catch(() => rm(draft, { recursive: true, force: true })); // another process was first
  }
  const found = (await readFile(join(data, 'PG_VERSION'), 'utf8')).trim();
  if (found !== binaries.major) {
    throw new StoreError({
      code: 'store.embedded-version',
      what: `The database in "${data}" was made by Postgres ${found}; this Towpath brings Postgres ${binaries.major}.`,
      fix: 'Use the Towpath that made it, or serve that folder with Postgres of its version and give its URL as TOWPATH_DATABASE_URL.',
    });
  }
}

async function untilItAnswers(
  home: Home,
  binaries: PostgresBinaries,
  user: ServerUser,
  options: EmbeddedOptions,
): Promise<void> {
  const timeoutMs = options.startTimeoutMs ?? 60_000;
  const began = performance.now();
  let server: ChildProcess | undefined;
  let starts = 0;
  let reason = '';
  while (performance.now() - began < timeoutMs) {
    reason = await answer(home);
    if (reason === '') return;
    // A server that is another's, or ours and still recovering, needs time; else we start one, again if it ended at once
    // because another's lock file was still there.
    const ours = server !== undefined && server.exitCode === null && server.signalCode === null;
    if (!ours && (await serverOf(home)) === undefined) {
      if (starts === 3) break;
      starts += 1;
      server = await spawnServer(home, binaries, user, options);
    }
    await pause(20);
  }
  throw failed('did not start', `${reason}\n${await logTail(home)}`);
}

async function spawnServer(
  home: Home,
  binaries: PostgresBinaries,
  user: ServerUser,
  options: EmbeddedOptions,
): Promise<ChildProcess> {
  const settings = {
    listen_addresses: '',
    unix_socket_directories: home.sockets,
    unix_socket_permissions: '0700',
    ssl: 'off',
    max_connections: '200',
    log_timezone: 'UTC',
    timezone: 'UTC',
    ...(options.durable === false ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
    ...options.settings,
  };
  const argv = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const log = await openLog(home);
  try {
    const child = spawn(binaries.postgres, ['-D', join(home.directory, 'data'), ...argv], {
      ...user,
      cwd: home.directory,
      env: environment(),
      stdio: ['ignore', log.fd, log.fd],
      detached: true, // Ctrl-C in the terminal is for us: we end it after our own work
    });
    child.on('error', () => undefined); // seen as "does not answer", with the log
    child.unref();
    return child;
  } finally {
    await log.close();
  }
}

const LOG_LIMIT_BYTES = 10_000_000;

async function openLog(home: Home) {
  const path = join(home.directory, 'postgres.log');
  const size = (await stat(path).catch(() => undefined))?.size ?? 0;
  if (size > LOG_LIMIT_BYTES) await rename(path, `${path}.1`);
  return open(path, 'a', 0o600);
}

async function logTail(home: Home): Promise<string> {
  const text = await readFile(join(home.directory, 'postgres.log'), 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-8).join('\n');
}

/** Nothing of our own environment: it may hold PG* variables, and secrets that a crash dump would show. */
function environment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
}

/** @returns empty when the server answers, else why it does not */
async function answer(home: Home): Promise<string> {
  const client = new pg.Client({ connectionString: urlOf(home, 'postgres'), connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return '';
  } catch (error) {
    return error instanceof Error && error.message !== '' ? error.message : String(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function createDatabase(home: Home): Promise<void> {
  const client = new pg.Client({ connectionString: urlOf(home, 'postgres') });
  await client.connect();
  try {
    const { rowCount } = await client.query(`select from pg_database where datname = 'towpath'`);
    if (rowCount === 0) {
      await client.query('create database towpath').catch((error: unknown) => {
        if (!(error instanceof pg.DatabaseError && /^(42P04|23505)$/.test(error.code ?? ''))) throw error;
      });
    }
  } finally {
    await client.end();
  }
}

const SUPERVISOR = 'supervisor.json';
const Supervisor = z.object({ pid: z.number(), started: z.string() });

async function supervise(home: Home): Promise<void> {
  const me = identityOf(process.pid);
  const other = await supervisorOf(home);
  if (me === undefined || (other !== undefined && isAlive(other))) return;
  const path = join(home.directory, SUPERVISOR);
  await writeDurably(path, JSON.stringify(me));
}

async function isMine(home: Home): Promise<boolean> {
  const supervisor = await supervisorOf(home);
  return supervisor?.pid === process.pid && isAlive(supervisor);
}

async function supervisorOf(home: Home): Promise<ProcessIdentity | undefined> {
  const text = await readFile(join(home.directory, SUPERVISOR), 'utf8').catch(() => 'null');
  try {
    return Supervisor.parse(JSON.parse(text));
  } catch {
    return undefined; // there is none, or a power cut tore its name: then nobody lives to supervise
  }
}

/** The running server, by its own lock file: the first line is its process number. */
async function serverOf(home: Home): Promise<ProcessIdentity | undefined> {
  const text = await readFile(join(home.directory, 'data', 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number(text.split('\n')[0]);
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => 'postgres');
  return command.includes('postgres') ? identityOf(pid) : undefined;
}

/** SIGINT is Postgres's "fast": sessions are ended, what was committed is written. */
async function stopServer(home: Home): Promise<void> {
  const server = await serverOf(home);
  if (server === undefined) return;
  const began = performance.now();
  process.kill(server.pid, 'SIGINT');
  while (isAlive(server)) {
    if (performance.now() - began > 30_000) throw failed('did not stop', await logTail(home));
    await pause(20);
  }
}

function ended(log: string): Problem {
  if (NO_SPACE.test(log)) return DISK_FULL;
  return {
    code: 'store.embedded-ended',
    what: `The embedded Postgres has ended by itself: ${log}`,
    fix: 'It is started again, and Towpath goes on. If it repeats, see postgres.log in its folder for what ends it.',
  };
}

const NO_SPACE = /No space left on device|Disk quota exceeded/;

function failed(what: string, reason: string): StoreError {
  const code = 'store.embedded-failed';
  if (NO_SPACE.test(reason))
    return new StoreError({
      code,
      what: `The embedded Postgres ${what}: no space is left where its data lies.`,
      fix: 'Free or add space there (`df -h` tells), or give another place with --data.',
    });
  return new StoreError({
    code,
    what: `The embedded Postgres ${what}: ${reason.trim()}`,
    fix: 'See postgres.log in its folder; or run your own Postgres and give its URL as TOWPATH_DATABASE_URL.',
  });
}
