import { cp, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { zipSync } from 'fflate';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';

import type { TestEntry } from '../../../container/testing/images.ts';
import { problemOf } from '../../../lib/error.ts';
import type { CheckAnswer } from '../../kind.ts';
import { advisoriesIn } from './advisories/folder.ts';
import { parseSbom } from './sbom/read.ts';
import { scan } from './scan.ts';
import { type AskedScan, askScan } from './testing/ask-scan.ts';

const REAL = fileURLToPath(new URL('../../../../fixtures/osv', import.meta.url));
const NOW = Date.UTC(2026, 10, 30);
const LODASH = module('lodash', '4.17.20');

test('a package with a vulnerability fails the scan, and says what to do; once it is upgraded there is none', async () => {
  const database = await folder();
  const lines: string[] = [];
  expect(await ask([[LODASH, module('minimist', '1.2.8')]], { database, lines })).toEqual({
    verdict: 'failed',
    summary:
      '1 vulnerability high or worse: lodash@4.17.20 by GHSA-35jh-r3h4-6jhm (CVE-2021-23337), high: upgrade to 4.17.21 or newer',
    findings: {
      counts: { error: 1, warning: 0, note: 0 },
      first: [
        {
          level: 'error',
          rule: 'GHSA-35jh-r3h4-6jhm',
          message: 'high; upgrade to 4.17.21 or newer',
          where: 'lodash@4.17.20 in app/node_modules/lodash/package.json',
        },
      ],
    },
    scan: {
      state: 'fail',
      scanner: 'built-in 1',
      packages: 2,
      database: {
        digest: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
        newestMs: Date.UTC(2026, 10, 29, 6),
        at: '2026-11-29',
      },
    },
  });
  expect(lines).toContain('2 packages of npm');
  const kept: Buffer[] = [];
  expect(await ask([[LODASH]], { database, kept })).toMatchObject({ kept: { files: [{ path: 'bom.cdx.json' }] } });
  expect(await parseSbom(kept[0]?.toString() ?? '', 'bom')).toMatchObject([{ name: 'lodash', version: '4.17.20' }]);
  expect(lines.join()).toContain('GHSA-35jh-r3h4-6jhm: lodash@4.17.20');
  const upgraded = [[LODASH], [module('lodash', '4.17.21')]];
  expect(await ask(upgraded, { database })).toMatchObject({ verdict: 'passed', scan: { state: 'pass', packages: 1 } });
});

test('what the base brings is looked at too, unless the check names what it looks at', async () => {
  const base = [
    { name: 'usr/lib/os-release', content: 'ID=debian\nVERSION_ID="12"\n' },
    { name: 'var/lib/dpkg/status.d/libc6', content: 'Package: libc6\nSource: glibc\nVersion: 2.36-9+deb12u1\n' },
  ];
  const image = [base, [module('minimist', '1.2.8')]];
  const database = await folder();
  expect(await ask(image, { database })).toMatchObject({ verdict: 'error', scan: { state: 'no-data' } });
  expect(await ask(image, { database, wish: { ecosystems: ['npm'] } })).toMatchObject({ verdict: 'passed' });
  await put(database, 'Debian/all.zip', zipSync({ 'DSA-5514-1.json': Buffer.from(JSON.stringify(GLIBC)) }));
  expect(await ask(image, { database })).toMatchObject({
    verdict: 'failed',
    summary: expect.stringContaining('libc6@2.36-9+deb12u1 (of glibc) by DSA-5514-1') as string,
  });
});

test('a list of packages in the image names what is bundled', async () => {
  const list = await readFile(join(REAL, '../sbom/npm.cdx.json'), 'utf8');
  const bundled = [
    [
      { name: 'app/server.js', content: '' },
      { name: 'app/bom.json', content: list },
    ],
  ];
  const asked = { database: await folder(), wish: { sbom: 'app/bom.json' } };
  expect(await ask(bundled, asked)).toMatchObject({
    verdict: 'failed',
    summary: expect.stringContaining('lodash@4.17.20') as string,
    scan: { packages: 2 },
  });
  expect(await ask([[LODASH]], asked)).toMatchObject({
    verdict: 'error',
    summary: 'its list of packages app/bom.json is not in the image',
  });
  const broken = [[{ name: 'app/bom.json', content: list.slice(0, 500) }]];
  expect(await ask(broken, asked)).toMatchObject({ summary: 'its list of packages app/bom.json is not JSON' });
});

test('advisories are as old as their newest, unless a file says as of when they are', async () => {
  const database = await folder({ dated: false });
  const image = [[module('minimist', '1.2.8')]];
  expect(await ask(image, { database })).toMatchObject({ scan: { state: 'stale-db', database: { at: '2024-02-09' } } });
  expect(await ask(image, { database, wish: { maxAge: '3650d' } })).toMatchObject({ scan: { state: 'pass' } });
  await put(database, 'database.json', '{"date":"2026-11-30T00:00:00Z"}');
  expect(await ask(image, { database })).toMatchObject({ scan: { state: 'pass', database: { at: '2026-11-30' } } });
});

test('a database is looked through again when it has changed, and is another one then', async () => {
  const directory = await folder();
  const advisories = advisoriesIn(directory);
  const before = await advisories.current();
  expect(await advisories.current()).toBe(before);
  await put(directory, 'npm/TEST-1.json', JSON.stringify({ ...GLIBC, id: 'TEST-1' }));
  expect((await advisories.current())?.digest).not.toBe(before?.digest);
  expect((await advisories.current())?.asOf('Debian:12')).not.toBe(null);
});

test('without advisories nothing is well', async () => {
  const nowhere = join(tmpdir(), 'towpath-no-such-folder');
  expect(await ask([[LODASH]], { database: nowhere })).toMatchObject({
    verdict: 'error',
    scan: { state: 'no-data', database: null },
  });
  const empty = await mkdtemp(join(tmpdir(), 'towpath-osv-'));
  onTestFinished(() => rm(empty, { recursive: true }));
  await put(empty, 'database.json', '{"date":"2026-11-30T00:00:00Z"}');
  expect(await ask([[LODASH]], { database: empty })).toMatchObject({ scan: { state: 'no-data' } });
  const clean = [[{ name: 'app/server.js', content: '' }]];
  expect(await ask(clean, { database: await folder() })).toMatchObject({
    verdict: 'error',
    scan: { state: 'no-data' },
  });
});

test.each<[string, (directory: string) => Promise<void>]>([
  ['a record is cut off', (at) => put(at, 'npm/bad.json', '{"id":"GHSA-1","mod')],
  ['a file is no record', (at) => put(at, 'npm/bad.json', '{"id":"GHSA-1"}')],
  ['the date is none', (at) => put(at, 'database.json', '{"date":"yesterday"}')],
  ['a zip is none', (at) => put(at, 'npm/all.zip', 'PK')],
  [
    'a zip is cut off',
    async (at) => {
      await put(at, 'npm/all.zip', zipSync({ 'DSA-5514-1.json': Buffer.from(JSON.stringify(GLIBC)) }));
      await truncate(join(at, 'npm/all.zip'), 100);
    },
  ],
])('where %s there is no answer', async (_, harm) => {
  const database = await folder();
  await harm(database);
  const refusal = await ask([[LODASH]], { database }).then(
    () => null,
    (error: unknown) => problemOf(error),
  );
  expect(refusal).toMatchObject({ code: 'check.advisories-broken' });
});

test('what somebody answers for says who, why and for how long', () => {
  const schema = z.strictObject(scan.fields);
  const entry = { id: 'CVE-1', owner: 'olga', reason: 'not reached', until: '2026-12-31' };
  expect(schema.parse({ scan: { allow: [entry] } })).toMatchObject({
    scan: { allow: [{ untilMs: Date.UTC(2027, 0, 1) }] },
  });
  for (const part of ['id', 'owner', 'reason', 'until'])
    expect(schema.safeParse({ scan: { allow: [{ ...entry, [part]: undefined }] } }).success).toBe(false);
  expect(schema.safeParse({ scan: { allow: [{ ...entry, until: 'some day' }] } }).success).toBe(false);
});

const GLIBC = {
  id: 'DSA-5514-1',
  modified: '2023-10-03T00:00:00Z',
  aliases: [],
  affected: [
    {
      package: { ecosystem: 'Debian:12', name: 'glibc' },
      ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '2.36-9+deb12u3' }] }],
    },
  ],
};

function module(name: string, version: string): TestEntry {
  return { name: `app/node_modules/${name}/package.json`, content: JSON.stringify({ name, version }) };
}

/** The real advisories, in a folder of their own. */
async function folder({ dated = true } = {}): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-osv-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await cp(REAL, directory, { recursive: true });
  if (dated) await put(directory, 'database.json', '{"date":"2026-11-29T06:00:00Z"}');
  return directory;
}

async function put(directory: string, file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(join(directory, file, '..'), { recursive: true });
  await writeFile(join(directory, file), content);
}

async function ask(
  layers: AskedScan['layers'],
  asked: Omit<AskedScan, 'layers' | 'nowMs'> & { readonly database: string },
): Promise<CheckAnswer> {
  return (await askScan({ layers, ...asked, nowMs: NOW })).answer;
}
