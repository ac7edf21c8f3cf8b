import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { zipSync } from 'fflate';
import { describe, expect, onTestFinished, test } from 'vitest';

import { findGoProgram } from '../../../../../tools/go-programs.js';
import type { Advisories } from '../../../advisory.ts';
import { advisoriesIn } from '../advisories/folder.ts';
import { builtInScanner } from '../built-in.ts';
import type { InstalledPackage } from '../packages/package.ts';
import type { Scanned } from '../scanner.ts';
import { type ProgramEnd, vulnerabilitiesIn } from './answer.ts';
import { osvScanner } from './osv-scanner.ts';

const FIXTURES = fileURLToPath(new URL('../../../../../fixtures', import.meta.url));
const never = new AbortController().signal;
const PACKAGES = [
  installed('npm', 'lodash', '4.17.20'),
  installed('npm', 'minimist', '1.2.8'),
  installed('npm', 'ip', '1.1.8'),
  { ...installed('Debian:12', 'glibc', '2.36-9+deb12u1'), called: 'libc6' },
];

test('what osv-scanner found is told as by any scanner', async () => {
  expect(vulnerabilitiesIn(await answered('found', 1), PACKAGES)).toMatchObject([
    { id: 'GHSA-35jh-r3h4-6jhm', aliases: ['CVE-2021-23337'], rating: 'high', fixed: ['4.17.21'] },
    { id: 'GHSA-78xj-cgh5-2h22', rating: 'high', fixed: [] },
    { id: 'DSA-5514-1', installed: { called: 'libc6' }, rating: 'unrated', fixed: ['2.36-9+deb12u3'] },
  ]);
  expect(vulnerabilitiesIn(await answered('nothing', 0), PACKAGES.slice(1, 2))).toEqual([]);
});

test('an answer counts only with the right exit code, whole, and about all that was asked', async () => {
  const minimist = PACKAGES.slice(1, 2);
  const why = (end: ProgramEnd, packages = minimist): unknown => vulnerabilitiesIn(end, packages);
  const broken = (words: string): unknown => ({ kind: 'broken', why: expect.stringContaining(words) as string });
  // a whole answer without a finding, for there was nothing to look into
  expect(why(await answered('no-data', 127), PACKAGES)).toEqual(
    broken('osv-scanner ended with 127: could not load db for npm ecosystem'),
  );
  const nothing = await answered('nothing', 0);
  for (const code of [1, 2, 127, 128, 129, 130, null]) expect(why({ ...nothing, code })).toEqual(broken('ended with'));
  expect(why(nothing, PACKAGES)).toEqual(broken('passed over lodash and 2 more'));
  expect(why({ ...nothing, output: nothing.output.slice(0, 100) })).toEqual(broken('did not answer in the shape'));
  expect(why({ ...nothing, output: '{"results":[]}' })).toEqual(broken('passed over minimist'));
  expect(why({ ...(await answered('found', 1)), code: 0 }, PACKAGES)).toEqual(broken('ended with 0, and named 3'));
});

test('a program that is not there found nothing out', async () => {
  const directory = await folder();
  const scanner = osvScanner(await zipped(), { program: join(directory, 'none'), directory });
  expect(await scanner.scan(PACKAGES, never)).toEqual({
    kind: 'broken',
    why: 'osv-scanner ended with a signal: it cannot be run (ENOENT)',
  });
  expect(await readdir(directory)).toEqual([]);
});

const { path: program, missing } = findGoProgram('osv-scanner');
if (missing !== undefined) process.stderr.write(`${missing}\n`);

describe.runIf(program !== undefined)('the real osv-scanner', () => {
  test('finds what the built-in scanner finds', async () => {
    const directory = await folder();
    const advisories = await zipped();
    const theirs = await osvScanner(advisories, { program, directory }).scan(PACKAGES, never);
    const ours = await builtInScanner(advisories).scan(PACKAGES, never);
    expect(namesIn(theirs)).toEqual(['DSA-5514-1 libc6', 'GHSA-35jh-r3h4-6jhm lodash', 'GHSA-78xj-cgh5-2h22 ip']);
    expect(namesIn(ours)).toEqual(namesIn(theirs));
    expect(await readdir(directory)).toEqual([]);
  });

  test('without its zips it found nothing out', async () => {
    const loose = advisoriesIn(join(FIXTURES, 'osv'));
    const scanned = await osvScanner(loose, { program, directory: await folder() }).scan(PACKAGES.slice(0, 1), never);
    expect(scanned).toMatchObject({ kind: 'broken', why: expect.stringContaining('ended with 127') as string });
  });
});

async function answered(name: string, code: number): Promise<ProgramEnd> {
  const text = (kind: string): Promise<string> => readFile(join(FIXTURES, 'osv-scanner', `${name}.${kind}`), 'utf8');
  return { code, output: await text('json'), said: await text('txt') };
}

async function folder(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-osv-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

/** The advisories of the fixtures as osv.dev has them, and one of Debian. */
async function zipped(): Promise<Advisories> {
  const directory = await folder();
  const npm = await readdir(join(FIXTURES, 'osv/npm'));
  const records = await Promise.all(npm.map(async (file) => [file, await readFile(join(FIXTURES, 'osv/npm', file))]));
  await put(join(directory, 'npm'), Object.fromEntries(records) as Record<string, Buffer>);
  const glibc = {
    id: 'DSA-5514-1',
    modified: '2023-10-03T00:00:00Z',
    affected: [
      {
        package: { ecosystem: 'Debian:12', name: 'glibc' },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '2.36-9+deb12u3' }] }],
      },
    ],
  };
  await put(join(directory, 'Debian'), { 'DSA-5514-1.json': Buffer.from(JSON.stringify(glibc)) });
  return advisoriesIn(directory);
}

async function put(directory: string, files: Record<string, Uint8Array>): Promise<void> {
  await mkdir(directory);
  await writeFile(join(directory, 'all.zip'), zipSync(files));
}

function namesIn(scanned: Scanned): string[] {
  if (scanned.kind !== 'scanned') throw new Error(scanned.why);
  return scanned.vulnerabilities.map(({ id, installed: { called } }) => `${id} ${called}`).sort();
}

function installed(ecosystem: string, name: string, version: string): InstalledPackage {
  return { ecosystem, name, version, called: name, where: 'somewhere' };
}
