import { chmod, lstat, mkdir, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import pg from 'pg';
import { beforeAll, expect, onTestFinished, test } from 'vitest';

import type { Problem } from '../../lib/error.ts';
import { noSmallDisk, smallDisk } from '../../lib/testing/small-disk.ts';
import { isTransient } from '../database.ts';
import { bundle, startProgram } from '../testing/program.ts';
import { startEmbeddedPostgres, stopEmbeddedPostgres } from './postgres.ts';

let supervisor: string;
/** A killed server keeps what was committed; a power failure is not tested. */
const UNTIL_KILLED = { durable: false, settings: { synchronous_commit: 'on' } };

beforeAll(async () => {
  supervisor = await bundle(fileURLToPath(new URL('testing/supervisor.ts', import.meta.url)));
});

test('what was committed is there after the server was stopped and started again', async () => {
  const directory = await freshDirectory();
  const first = await startEmbeddedPostgres({ directory, durable: false });
  await query(first.url, 'create table kept as select 7 as n');
  await first.stop();
  await expect(query(first.url, 'select 1')).rejects.toThrow();

  const second = await startEmbeddedPostgres({ directory, durable: false });
  expect(await query(second.url, 'select n from kept')).toEqual([{ n: 7 }]);
});

test('the server listens on its socket alone, in a folder that only its user may enter', async () => {
  const { url } = await startEmbeddedPostgres({ directory: await freshDirectory(), durable: false });
  expect(await query(url, 'show listen_addresses')).toEqual([{ listen_addresses: '' }]);
  const sockets = new URL(url).searchParams.get('host') ?? '';
  expect((await lstat(sockets)).mode & 0o777).toBe(0o700);
});

test('a server whose supervisor was killed is adopted, with its sessions, and then stopped by the adopter', async () => {
  const directory = await freshDirectory();
  const killed = startProgram(supervisor, [directory]);
  const url = (await killed.line((line) => line.startsWith('ready '))).slice('ready '.length);
  const [before] = await query(url, 'select pg_postmaster_start_time()::text as started');
  killed.kill('SIGKILL');
  await killed.ended;

  const adopted = await startEmbeddedPostgres({ directory, durable: false });
  expect(adopted.url).toBe(url);
  expect(await query(url, 'select pg_postmaster_start_time()::text as started')).toEqual([before]);
  await adopted.stop();
  await expect(query(url, 'select 1')).rejects.toThrow();
});

test('a server that is killed is started again, with what was committed, and that is told; one that was stopped stays so', async () => {
  const outages: Problem[] = [];
  const directory = await freshDirectory();
  const options = { directory, ...UNTIL_KILLED, onOutage: (problem: Problem) => void outages.push(problem) };
  const { url, stop } = await startEmbeddedPostgres(options);
  await query(url, 'create table kept as select 7 as n');
  await killServer(directory);
  await answersAgain(url);
  expect(await query(url, 'select n from kept')).toEqual([{ n: 7 }]);
  expect(outages).toMatchObject([{ code: 'store.embedded-ended' }]);
  await stop();
  await expect(query(url, 'select 1')).rejects.toThrow();
});

test.skipIf(noSmallDisk !== null)(
  'a full disk under it is told as such, and it goes on by itself when there is space, with what was committed',
  async () => {
    const place = join(dirname(await freshDirectory()), 'disk');
    await mkdir(place);
    const disk = smallDisk(120, place);
    const directory = join(place, 'pg');
    onTestFinished(async () => {
      await stopEmbeddedPostgres(directory);
      disk.remove();
    });
    const { url } = await startEmbeddedPostgres({ directory, ...UNTIL_KILLED });
    await query(url, `create table kept as select 7 as n, repeat('x', 100) as filler`);
    disk.fill();
    const grow = 'insert into kept select 8, filler from kept, generate_series(1, 200000)';
    const refused: unknown = await query(url, grow).catch((error: unknown) => error);
    expect(isTransient(refused), String(refused)).toBe(true);
    await killServer(directory);
    disk.free();
    await answersAgain(url);
    expect(await query(url, 'select n, count(*) from kept group by n')).toEqual([{ n: 7, count: '1' }]);
    await query(url, grow);
  },
);

test.skipIf(noSmallDisk !== null)('a disk that is too small to begin on is told as that', async () => {
  const place = join(dirname(await freshDirectory()), 'disk');
  await mkdir(place);
  const disk = smallDisk(16, place);
  onTestFinished(() => disk.remove());
  await expect(startEmbeddedPostgres({ directory: join(place, 'pg'), durable: false })).rejects.toMatchObject({
    what: 'The embedded Postgres could not make a database: no space is left where its data lies.',
  });
});

test('a server that a living process supervises is shared, and not stopped by the guest', async () => {
  const directory = await freshDirectory();
  const owner = startProgram(supervisor, [directory]);
  await owner.line((line) => line.startsWith('ready '));
  const guest = await startEmbeddedPostgres({ directory, durable: false });
  await guest.stop();
  expect(await query(guest.url, 'select 1 as n')).toEqual([{ n: 1 }]);
  owner.stdin.end();
  expect((await owner.ended).code).toBe(0);
  await expect(query(guest.url, 'select 1')).rejects.toThrow();
});

test('three processes that start on an empty folder at once share one server', async () => {
  const directory = await freshDirectory();
  const programs = [1, 2, 3].map(() => startProgram(supervisor, [directory]));
  const lines = await Promise.all(programs.map((program) => program.line((line) => line.startsWith('ready '))));
  expect(new Set(lines).size).toBe(1);
});

test('a database of another major version is refused by name, and left as it is', async () => {
  const directory = await freshDirectory();
  await startEmbeddedPostgres({ directory, durable: false }).then((postgres) => postgres.stop());
  const version = join(directory, 'data', 'PG_VERSION');
  await writeFile(version, '15\n');
  await expect(startEmbeddedPostgres({ directory })).rejects.toMatchObject({ code: 'store.embedded-version' });
  expect(await readFile(version, 'utf8')).toBe('15\n');
});

test('a folder whose path is too long for a socket still works', async () => {
  const directory = join(await freshDirectory(), 'd'.repeat(90));
  const { url, stop } = await startEmbeddedPostgres({ directory, durable: false });
  expect(await query(url, 'select 1 as n')).toEqual([{ n: 1 }]);
  await stop();
});

test.runIf(process.getuid?.() === 0)(
  'root may keep its data under a closed folder: the server is moved where it can work',
  async () => {
    const closed = join(await freshDirectory(), 'closed');
    await mkdir(closed, { recursive: true, mode: 0o700 });
    const directory = join(closed, 'pg');
    const { url } = await startEmbeddedPostgres({ directory, durable: false });
    onTestFinished(async () => {
      await stopEmbeddedPostgres(directory);
      await rm(await readlink(directory), { recursive: true });
    });
    expect(await query(url, 'select 1 as n')).toEqual([{ n: 1 }]);
    expect(await readlink(directory)).toMatch(/^\/var\/lib\/towpath\/pg-/);
  },
);

async function killServer(directory: string): Promise<void> {
  const [pid] = (await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8')).split('\n');
  process.kill(Number(pid), 'SIGKILL');
}

async function answersAgain(url: string): Promise<void> {
  await expect.poll(() => query(url, 'select 1 as n').catch(() => null), { timeout: 30_000 }).toEqual([{ n: 1 }]);
}

async function freshDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-embedded-'));
  await chmod(directory, 0o711);
  onTestFinished(async () => {
    await stopEmbeddedPostgres(join(directory, 'pg'));
    await rm(directory, { recursive: true, force: true });
  });
  return join(directory, 'pg');
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}
