import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { noSmallDisk, smallDisk } from '../lib/testing/small-disk.ts';
import { openStore, type Store } from './database.ts';
import { startEmbeddedPostgres } from './embedded/postgres.ts';
import { followLog, openLog, readLog, writeLog } from './log-store.ts';
import { migrate } from './migrate.ts';
import { testStore } from './testing.ts';

test('a log is followed while it is written, in order and to its end', async () => {
  const store = await testStore();
  const lines = Array.from({ length: 1_234 }, (_, n) => `line ${n}`);
  const writing = writeLog(store, 'log_1', lines);
  const seen: string[] = [];
  for await (const part of followLog(store, 'log_1', 0, new AbortController().signal)) seen.push(...part.lines);
  await writing;
  expect(seen).toEqual(lines);
});

test('lines that come with the end, between two looks at a log, are not taken for read', async () => {
  const store = await testStore();
  let looks = 0;
  const db = store.db.withPlugin({
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      if (++looks === 1) await writeLog(store, 'log_1', ['the last words']);
      return result;
    },
  });
  expect(await readLog(db, 'log_1', 0)).toEqual({ lines: [], seq: 0, ended: false });
  const part = await readLog(db, 'log_1', 0);
  expect(part).toMatchObject({ lines: ['the last words'], ended: true });
  expect(await readLog(db, 'log_1', part.seq)).toMatchObject({ lines: [], ended: true });
});

test('a reader goes on where it stopped', async () => {
  const store = await testStore();
  const log = openLog(store, 'log_1');
  log.line('one');
  const follower = followLog(store, 'log_1', 0, new AbortController().signal);
  const first = await follower.next();
  expect(first.value).toMatchObject({ lines: ['one'], ended: false });
  log.line('two');
  await log.end();
  const rest = await readLog(store.db, 'log_1', first.done === true ? 0 : first.value.seq);
  expect(rest).toMatchObject({ lines: ['two'], ended: true });
  expect(await readLog(store.db, 'log_1', rest.seq)).toEqual({ lines: [], seq: rest.seq, ended: true });
  await follower.return(undefined);
});

test('a log that was ended and is written again goes on', async () => {
  const store = await testStore();
  await writeLog(store, 'log_1', ['first try']);
  const again = openLog(store, 'log_1');
  again.line('second try');
  await again.end();
  const { lines, ended } = await readLog(store.db, 'log_1', 0);
  expect({ lines, ended }).toEqual({ lines: ['first try', 'second try'], ended: true });
});

test('whatever a program prints can be stored', async () => {
  const store = await testStore();
  await writeLog(store, 'log_1', ['a\0b', 'half \uD83D surrogate', '{"quotes",\\}', '', 'x'.repeat(50_000)]);
  const { lines } = await readLog(store.db, 'log_1', 0);
  expect(lines.slice(0, 4)).toEqual(['a\uFFFDb', 'half \uFFFD surrogate', '{"quotes",\\}', '']);
  expect(lines[4]).toMatch(/^x{16384} ... \(50000 characters\)$/);
});

test('a log that nobody has written yet is empty and not ended', async () => {
  const store = await testStore();
  expect(await readLog(store.db, 'log_none', 0)).toEqual({ lines: [], seq: 0, ended: false });
});

test('a program that prints without end fills no store: the beginning is kept, and the end, and what is missing is said', async () => {
  const store = await testStore();
  const log = openLog(store, 'log_1', { limitBytes: 100_000 });
  for (let n = 0; n < 1_000_000; n++) log.line(`line ${n}`);
  await log.end();
  const lines = await wholeLog(store, 'log_1');
  expect(lines.join('\n').length).toBeLessThan(200_000);
  expect(lines[0]).toBe('line 0');
  expect(lines.at(-1)).toBe('... 900000 lines were left out: the database was away, full or too slow for them ...');
  expect(lines.filter((line) => line.startsWith('...'))).toHaveLength(3);
});

test('who writes on in a log that is full is heard, with a few lines', async () => {
  const store = await testStore();
  const first = openLog(store, 'log_1', { limitBytes: 1000 });
  for (let n = 0; n < 200; n++) first.line(`line ${n} ${'x'.repeat(50)}`);
  await first.flush();
  for (let n = 0; n < 3000; n++) first.line(`more ${n} ${'x'.repeat(50)}`);
  await first.flush();
  const second = openLog(store, 'log_1', { limitBytes: 1000 });
  second.line('Failed: it was too loud.');
  await second.end();
  const lines = await wholeLog(store, 'log_1');
  expect(lines[0]).toMatch(/^line 0 /);
  expect(lines).toContain('... 2500 lines were left out: the log is full ...');
  expect(lines.at(-2)).toMatch(/^more 2999 /);
  expect(lines.at(-1)).toBe('Failed: it was too loud.');
  expect(lines.length).toBeLessThan(720);
});

test.skipIf(noSmallDisk !== null)(
  'a log waits for as long as the disk of the database is full, and is whole then',
  async () => {
    const place = join(await mkdtemp(join(tmpdir(), 'towpath-log-')), 'disk');
    await chmod(dirname(place), 0o755);
    await mkdir(place);
    const disk = smallDisk(120, place);
    const postgres = await startEmbeddedPostgres({ directory: join(place, 'pg'), durable: false });
    await migrate(postgres.url);
    const store = await openStore(postgres.url);
    onTestFinished(async () => {
      await store.close();
      await postgres.stop();
      disk.remove();
      await rm(dirname(place), { recursive: true });
    });
    let tries = 0;
    const wait = async (): Promise<void> => {
      if (++tries === 20) disk.free();
    };
    const log = openLog(store, 'log_1', { wait });
    log.line('before');
    await log.flush();
    disk.fill();
    const lines = Array.from({ length: 1000 }, () => randomBytes(500).toString('hex'));
    for (const line of lines) log.line(line);
    await log.end();
    expect(tries).toBeGreaterThanOrEqual(20);
    expect(await wholeLog(store, 'log_1')).toEqual(['before', ...lines]);
  },
);

async function wholeLog(store: Store, logId: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const part of followLog(store, logId, 0, new AbortController().signal)) lines.push(...part.lines);
  return lines;
}
