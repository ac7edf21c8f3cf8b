import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { zipSync } from 'fflate';
import { expect, onTestFinished, test } from 'vitest';

import { START } from '../http/testing/world.ts';
import { serve } from '../registry/testing/served.ts';
import { type Outcome, runLine } from './testing/run.ts';

const OSV = fileURLToPath(new URL('../../fixtures/osv', import.meta.url));
const DAY_MS = 86_400_000;

test('the state of the advisories says what to do, also to scripts', async () => {
  const data = await dataDirectory();
  const none = await towpath(data, 'scan db status');
  expect(none.exit).toBe(1);
  expect(none.out).toContain('none: name what your images have: `towpath scan db update npm Debian`');
  await cp(join(OSV, 'npm'), join(data, 'advisories/npm'), { recursive: true });
  const stale = await towpath(data, 'scan db status');
  expect(stale.exit).toBe(1);
  expect(stale.out).toMatch(/^npm +3 records +2024-02-09 +\d+ days ago +put there by hand$/m);
  expect(stale.out).toContain('stale: `towpath scan db update npm`, or put newer ones there by hand.');
  await writeFile(join(data, 'advisories/database.json'), JSON.stringify({ date: daysAgo(2) }));
  expect((await towpath(data, 'scan db status')).out).toMatch(
    /3 records of .* \(at most 1w\)\n(.*\n)*fresh: nothing is to be done\.$/m,
  );
  const strict = await towpath(data, 'scan db status --max-age 1d --json');
  expect(strict.exit).toBe(1);
  expect(JSON.parse(strict.out)).toMatchObject({
    state: 'stale',
    records: 3,
    maxAgeMs: DAY_MS,
    ecosystems: [{ ecosystem: 'npm', records: 3, source: null, releases: { npm: { records: 3 } } }],
  });
});

test('an update fetches what is named, and from then on what was named, and leaves all as it was where it cannot', async () => {
  const data = await dataDirectory();
  const zip = await npmZip();
  const served = await serve(() => ({ url }, response) => {
    if (url !== '/osv/npm/all.zip') return response.writeHead(404).end();
    return response.writeHead(200, { 'last-modified': new Date(daysAgo(0)).toUTCString() }).end(zip);
  });
  const first = await towpath(data, `scan db update npm --mirror http://${served.host}/osv`);
  expect(first).toMatchObject({
    exit: 0,
    out: expect.stringMatching(/^npm +updated +3 records, \d+\.\d MB/) as string,
  });
  expect(first.err).toMatch(/^npm: .* MB$/m);
  expect((await towpath(data, 'scan db status')).out).toContain(`http://${served.host}/osv/npm/all.zip`);
  expect(JSON.parse((await towpath(data, 'scan db update --json')).out)).toMatchObject({
    sources: [{ ecosystem: 'npm', state: 'updated', records: 3 }],
  });
  await served.close();
  const offline = await towpath(data, 'scan db update --json');
  expect(offline.exit).toBe(1);
  expect(JSON.parse(offline.out)).toMatchObject({ sources: [{ state: 'failed' }] });
  expect(JSON.parse(offline.err.trim().split('\n').at(-1) ?? '')).toMatchObject({
    code: 'check.advisories-unfetched',
    fix: expect.stringContaining('What was there stays in use.') as string,
  });
  expect((await towpath(data, 'scan db status')).exit).toBe(0);
});

test('wrong words are told with what was meant, and nothing is made where no server is', async () => {
  const data = await dataDirectory();
  const problem = async (line: string, directory = data): Promise<unknown> => {
    const { exit, err } = await towpath(directory, `${line} --json`);
    return { exit, ...(JSON.parse(err) as object) };
  };
  expect(await problem('scan db update NPM')).toMatchObject({ exit: 64, fix: 'Choose npm.' });
  expect(await problem('scan db update')).toMatchObject({ exit: 64, what: 'Nothing was fetched here before.' });
  for (const bad of ['ftp://x', 'no', 'https://u:p@x.example', 'https://x.example/?a=b'])
    expect(await problem(`scan db update npm --mirror ${bad}`)).toMatchObject({ exit: 64 });
  const nowhere = join(data, 'no/such');
  expect(await problem('scan db update npm', nowhere)).toMatchObject({ exit: 1, code: 'cli.no-data-directory' });
  await mkdir(join(data, 'advisories'));
  await writeFile(join(data, 'advisories/sources.json'), 'half');
  expect(await problem('scan db status')).toMatchObject({ exit: 1, code: 'check.advisories-broken' });
  expect(await readdir(join(data, 'advisories'))).toEqual(['sources.json']);
});

async function dataDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-scan-db-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

function towpath(data: string, line: string): Promise<Outcome> {
  return runLine([...line.split(' '), '--data', data]);
}

function daysAgo(days: number): string {
  return new Date(Date.parse(START) - days * DAY_MS).toISOString();
}

async function npmZip(): Promise<Uint8Array> {
  const names = await readdir(join(OSV, 'npm'));
  const records = await Promise.all(names.map(async (name) => [name, await readFile(join(OSV, 'npm', name))] as const));
  return zipSync(Object.fromEntries(records));
}
