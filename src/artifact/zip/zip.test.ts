import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { cases } from '../../lib/testing/cases.ts';
import type { LayerItem } from '../oci/layer.ts';
import { readZip } from './zip-reader.ts';
import { writeZip, type ZipLimits } from './zip-writer.ts';

const run = promisify(execFile);
const signal = new AbortController().signal;

let folder = '';
let made = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-zip-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const name = fc.stringMatching(/^[a-zA-Z0-9_ é文-]{1,12}$/u).filter((text) => text.trim() === text);
const item = fc.record({
  path: fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => `f/${parts.join('/')}.x`),
  executable: fc.boolean(),
  body: fc.oneof(fc.uint8Array({ maxLength: 400 }), fc.constant(Buffer.from('the same line\n'.repeat(5000)))),
});
const items = fc
  .uniqueArray(item, { selector: ({ path }) => path, maxLength: 8 })
  .map((all) => all.filter(({ path }) => !all.some((other) => other.path.startsWith(`${path}/`))));

test('what is written is read again, and the order in which it comes does not matter', async () => {
  await fc.assert(
    fc.asyncProperty(items, async (all) => {
      const zip = await zipped(all.map(fileOf));
      expect(await zipped(all.toReversed().map(fileOf))).toEqual(zip);
      const read = await contentOf(readZip(zip));
      const expected = await contentOf(all.map(fileOf).toSorted((one, other) => (one.path < other.path ? -1 : 1)));
      expect(read).toEqual(expected);
    }),
    cases(40),
  );
});

test('unzip and Python read it, with its modes, links and names, at the beginning of time', async () => {
  const file = join(folder, 'real.zip');
  await writeZip(sample(), file, { signal });
  const { stdout: listed } = await run('unzip', ['-Z', '-l', '-T', file]);
  const lines = listed.split('\n').filter((line) => /^[-l]/.test(line));
  expect(lines.map((line) => line.replace(/\s+/g, ' ').split(' ').toSpliced(1, 6))).toEqual([
    ['-rwxr-xr-x', '19800101.000000', 'bin/run'],
    ['lrwxrwxrwx', '19800101.000000', 'bin/same'],
    ['-rw-r--r--', '19800101.000000', 'empty'],
    ['-rw-r--r--', '19800101.000000', 'naïve/文.txt'],
  ]);
  await run('unzip', ['-t', file]);
  const script = `import zipfile,sys;z=zipfile.ZipFile(sys.argv[1]);print(z.testzip(),[(i.filename,i.date_time) for i in z.infolist()][3])`;
  const { stdout } = await run('python3', ['-c', script, file]);
  expect(stdout.trim()).toBe("None ('naïve/文.txt', (1980, 1, 1, 0, 0, 0))");
});

test('the bytes are those of every version of Node and every processor', async () => {
  const body = Buffer.from(Array.from({ length: 60_000 }, (_, at) => `${(at * 2_654_435_761) % 977} tea`).join('\n'));
  const { digest } = await writeZip(
    [...sample(), fileOf({ path: 'large.txt', executable: false, body })],
    join(folder, 'fixed.zip'),
    { signal },
  );
  expect(digest).toBe('sha256:b36f4e38bf9350a1b292cc49a93bf85defd7591bfc1268a98af2fd220c7d55bf');
});

test.each([
  ['../outside', 'artifact.zip-name'],
  ['a/../../b', 'artifact.zip-name'],
  ['/etc/passwd', 'artifact.zip-name'],
  ['a\\b', 'artifact.zip-name'],
  ['C:/a', 'artifact.zip-name'],
  ['a\nb', 'artifact.zip-name'],
])('a file named %j is refused', async (path, code) => {
  await expect(zipped([fileOf({ path, executable: false, body: Buffer.alloc(1) })])).rejects.toMatchObject({ code });
});

test.each([
  { maxBytes: 5, maxFiles: 9 },
  { maxBytes: 99, maxFiles: 3 },
])('more than %j is refused', async (limits) => {
  await expect(zipped(sample(), limits)).rejects.toMatchObject({ code: 'artifact.zip-too-large' });
});

test('a damaged zip is told', async () => {
  const zip = await zipped(sample());
  expect(() => readZip(zip.subarray(0, zip.length - 1))).toThrow('does not end');
  const hurt = Buffer.from(zip);
  hurt[zip.indexOf('#!/bin/sh')] = 0;
  expect(() => readZip(hurt)).toThrow('damaged');
});

function sample(): LayerItem[] {
  return [
    fileOf({ path: 'naïve/文.txt', executable: false, body: Buffer.from('tea\n') }),
    fileOf({ path: 'empty', executable: false, body: Buffer.alloc(0) }),
    { kind: 'symlink', path: 'bin/same', target: 'run' },
    fileOf({ path: 'bin/run', executable: true, body: Buffer.from('#!/bin/sh\n') }),
  ];
}

function fileOf({ path, executable, body }: { path: string; executable: boolean; body: Uint8Array }): LayerItem {
  return { kind: 'file', path, executable, read: async () => Buffer.from(body) };
}

async function contentOf(all: readonly LayerItem[]): Promise<unknown[]> {
  return Promise.all(
    all.map(async (one) => (one.kind === 'file' ? { ...one, read: (await one.read()).toString('base64') } : one)),
  );
}

async function zipped(all: readonly LayerItem[], limits?: ZipLimits): Promise<Buffer> {
  const file = join(folder, `${made++}.zip`);
  await writeZip(all, file, limits === undefined ? { signal } : { limits, signal });
  return readFile(file);
}
