import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { zipSync } from 'fflate';
import { Agent } from 'undici';
import { afterAll, expect, onTestFinished, test } from 'vitest';

import { serve } from '../../../../registry/testing/served.ts';
import { advisoriesIn } from './folder.ts';
import { readSources, type Sources } from './sources.ts';
import { type Progress, updateAdvisories, type Updated } from './update.ts';

const NOW = Date.UTC(2026, 10, 30);
const NPM = fileURLToPath(new URL('../../../../../fixtures/osv/npm', import.meta.url));
const agent = new Agent();
afterAll(() => agent.close());

test('what a source has is put in place whole, and is as old as the source says', async () => {
  const directory = await folder();
  const progress: Progress[] = [];
  const { done, sources } = await fromSource(directory, dumps(await npmZip()), {
    onProgress: (one) => progress.push(one),
  });
  expect(done).toMatchObject([{ ecosystem: 'npm', state: 'updated', records: 3, asOf: '2026-11-29T06:00:00.000Z' }]);
  const database = await advisoriesIn(directory).current();
  expect(database?.records).toBe(3);
  expect(database?.asOf('npm')).toBe(Date.UTC(2026, 10, 29, 6)); // its newest record is of 2024
  expect(progress.map(({ step }) => step)).toEqual(expect.arrayContaining(['fetching', 'checking']));
  expect(progress.at(-1)).toMatchObject({ step: 'checking', bytes: (await npmZip()).length });
  expect(sources['npm']).toMatchObject({ etag: '"v1"' });
  expect(await drafts(directory)).toEqual([]);
});

test('what has not changed is not sent again, and what was replaced by hand is fetched anew and is as old as its records', async () => {
  const directory = await folder();
  const served = await serve(() => dumps(zipOf('GHSA-1', '2026-01-01T00:00:00Z')));
  onTestFinished(() => served.close());
  const url = `http://${served.host}/npm/all.zip`;
  await update(directory, { npm: { url } });
  const again = await update(directory, await readSources(directory));
  expect(again).toMatchObject([{ state: 'unchanged', asOf: '2026-11-29T06:00:00.000Z' }]);
  await writeFile(join(directory, 'npm/all.zip'), await npmZip());
  expect((await advisoriesIn(directory).current())?.asOf('npm')).toBeLessThan(Date.UTC(2026, 0, 1));
  expect(await update(directory, await readSources(directory))).toMatchObject([{ state: 'updated', records: 1 }]);
});

const sent = (body: string | Uint8Array, status = 200): RequestListener => {
  return (_, response) => response.writeHead(status, { 'content-length': body.length }).end(body);
};
const brokenOff: RequestListener = (_, response) => {
  response.writeHead(200, { 'content-length': 10_000 });
  response.write('PK', () => response.destroy());
};

test.each<[string, RequestListener | null, RegExp]>([
  ['nobody is there', null, /does not answer \(ECONNREFUSED\)/],
  ['there is none', sent('no such', 404), /it answered 404/],
  ['the source is broken', sent('oh', 500), /it answered 500/],
  ['somebody else answers', sent('<html>Log in</html>'), /no whole zip of advisories/],
  ['it breaks off', brokenOff, /broke off after \d+ bytes/],
  [
    'it is cut off, and says so in no way',
    async (_, response) => response.end((await npmZip()).subarray(0, 300)),
    /no whole zip/,
  ],
  ['a byte of it is another', async (_, response) => response.end(altered(await npmZip())), /no whole zip/],
  ['it is a zip of something else', sent(zipSync({ 'readme.txt': Buffer.from('hello') })), /says nothing of npm/],
  ['it is of another ecosystem', sent(zipOf('DSA-1', '2026-01-01T00:00:00Z', 'Debian:12')), /says nothing of npm/],
])('where %s what was there stays, and the other sources go on', async (_, listener, why) => {
  const directory = await folder();
  await mkdir(join(directory, 'npm'));
  const before = await npmZip();
  await writeFile(join(directory, 'npm/all.zip'), before);
  const served = await serve(() => (request, response) => {
    if (request.url?.startsWith('/PyPI') === true)
      return response.end(zipOf('PYSEC-1', '2026-01-01T00:00:00Z', 'PyPI'));
    return listener?.(request, response);
  });
  const gone = await serve(() => () => undefined);
  await gone.close();
  onTestFinished(() => served.close());
  const url = `http://${listener === null ? gone.host : served.host}/npm/all.zip`;
  const done = await update(directory, { npm: { url }, PyPI: { url: `http://${served.host}/PyPI/all.zip` } });
  expect(done).toMatchObject([
    {
      ecosystem: 'npm',
      state: 'failed',
      problem: { code: 'check.advisories-unfetched', what: expect.stringMatching(why) as string },
    },
    { ecosystem: 'PyPI', state: 'updated', records: 1 },
  ]);
  expect(Buffer.compare(await readFile(join(directory, 'npm/all.zip')), before)).toBe(0);
  expect(await drafts(directory)).toEqual([]);
  expect(Object.keys(await readSources(directory))).toEqual(['PyPI']);
});

test('who is stopped leaves what was there, and nothing half', async () => {
  const directory = await folder();
  const stop = new AbortController();
  const endless: RequestListener = (_, response) => {
    response.writeHead(200);
    response.write(Buffer.alloc(100_000));
  };
  const stopped = fromSource(directory, endless, { onProgress: () => stop.abort(), signal: stop.signal });
  await expect(stopped).rejects.toThrow(/abort/);
  expect(await readdir(directory)).toEqual([]);
});

test('drafts of updates that were killed are gone after a day', async () => {
  const directory = await folder();
  for (const name of ['.update-old', '.update-new']) await mkdir(join(directory, name));
  const longAgo = (NOW - 2 * 86_400_000) / 1000;
  await utimes(join(directory, '.update-old'), longAgo, longAgo);
  await utimes(join(directory, '.update-new'), NOW / 1000, NOW / 1000);
  await update(directory, {});
  expect(await readdir(directory)).toEqual(['.update-new']);
});

async function folder(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-update-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

async function drafts(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.startsWith('.'));
}

/** The real advisories, as osv.dev has them. */
async function npmZip(): Promise<Uint8Array> {
  const names = await readdir(NPM);
  const records = await Promise.all(names.map(async (name) => [name, await readFile(join(NPM, name))] as const));
  return zipSync(Object.fromEntries(records), { mtime: NOW });
}

function zipOf(id: string, modified: string, ecosystem = 'npm'): Uint8Array {
  const record = { id, modified, affected: [{ package: { ecosystem, name: 'some' }, versions: ['1.0.0'] }] };
  return zipSync({ [`${id}.json`]: Buffer.from(JSON.stringify(record)) });
}

function altered(bytes: Uint8Array): Uint8Array {
  const other = Uint8Array.from(bytes);
  other[200] = (other[200] ?? 0) ^ 1;
  return other;
}

/** As storage does it, with the day and a tag of the file. */
function dumps(zip: Uint8Array): RequestListener {
  return ({ headers }, response) => {
    const head = { etag: '"v1"', 'last-modified': new Date(Date.UTC(2026, 10, 29, 6)).toUTCString() };
    if (headers['if-none-match'] === '"v1"') return response.writeHead(304, head).end();
    return response.writeHead(200, { ...head, 'content-length': zip.length }).end(zip);
  };
}

async function fromSource(
  directory: string,
  listener: RequestListener,
  options: { onProgress?: (progress: Progress) => void; signal?: AbortSignal } = {},
): Promise<{ done: readonly Updated[]; sources: Sources }> {
  const served = await serve(() => listener);
  try {
    const done = await update(directory, { npm: { url: `http://${served.host}/npm/all.zip` } }, options);
    return { done, sources: await readSources(directory) };
  } finally {
    await served.close();
  }
}

function update(
  directory: string,
  sources: Sources,
  { onProgress = () => undefined, signal = new AbortController().signal }: Parameters<typeof fromSource>[2] = {},
): Promise<readonly Updated[]> {
  return updateAdvisories(directory, sources, { agentFor: () => agent, signal, onProgress, now: NOW });
}
