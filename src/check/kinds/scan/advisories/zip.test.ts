import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { zipSync } from 'fflate';
import { expect, onTestFinished, test } from 'vitest';

import { hasCode } from '../../../../lib/error.ts';
import { cases } from '../../../../lib/testing/cases.ts';
import { withZip } from './zip.ts';

const FILES = { 'a.json': 'first '.repeat(50), 'b/c.json': '', 'b/d.json': 'third' };
const ZIP = Buffer.from(
  zipSync(Object.fromEntries(Object.entries(FILES).map(([name, text]) => [name, Buffer.from(text)]))),
);

test('files are read in any order, packed or not', async () => {
  expect(await read(ZIP)).toEqual(FILES);
  const stored = zipSync({ 'a.json': [Buffer.from('as it is'), { level: 0 }] });
  expect(await read(Buffer.from(stored))).toEqual({ 'a.json': 'as it is' });
  expect(await read(Buffer.concat([ZIP, Buffer.alloc(0)]))).toEqual(FILES);
});

test('a zip with more files than a zip of old can count is read', async () => {
  expect(await read(large(ZIP))).toEqual(FILES);
});

test('one byte that is other than it was is noticed, or changes no text', async () => {
  const path = await place();
  for (const zip of [ZIP, large(ZIP)])
    await fc.assert(
      fc.asyncProperty(fc.nat(zip.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bytes = Buffer.from(zip);
        bytes[at] = (bytes[at] ?? 0) ^ change;
        const found = await readAll(bytes, path).catch((error: unknown) => ({ error }));
        if ('error' in found) expect(hasCode(found.error, 'check.advisories-broken')).toBe(true);
        else expect(found.map(([, text]) => text).toSorted()).toEqual(Object.values(FILES).toSorted());
      }),
      cases(120),
    );
});

test('one that is cut off is noticed', async () => {
  const path = await place();
  for (let length = 0; length < ZIP.length; length += 7)
    await expect(read(ZIP.subarray(0, length), path)).rejects.toMatchObject({ code: 'check.advisories-broken' });
});

test('a file that unpacks to more than the limit is not unpacked', async () => {
  const bomb = Buffer.from(zipSync({ 'a.json': Buffer.alloc(2_000_000, 32) }));
  await expect(read(bomb)).rejects.toMatchObject({ code: 'check.advisories-broken' });
});

/** The numbers of its end are said where there is room for large ones. */
function large(zip: Buffer): Buffer {
  const end = zip.subarray(zip.length - 22);
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(44n, 4);
  for (const [at, value] of [
    [24, 10],
    [32, 10],
  ] as const)
    record.writeBigUInt64LE(BigInt(end.readUInt16LE(value)), at);
  for (const [at, value] of [
    [40, 12],
    [48, 16],
  ] as const)
    record.writeBigUInt64LE(BigInt(end.readUInt32LE(value)), at);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(zip.length - 22), 8);
  locator.writeUInt32LE(1, 16);
  const short = Buffer.from(end);
  short.fill(0xff, 8, 20);
  return Buffer.concat([zip.subarray(0, -22), record, locator, short]);
}

async function place(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-zip-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return join(directory, 'all.zip');
}

async function read(bytes: Buffer, at?: string): Promise<Record<string, string>> {
  return Object.fromEntries(await readAll(bytes, at));
}

async function readAll(bytes: Buffer, at?: string): Promise<[name: string, text: string][]> {
  const path = at ?? (await place());
  await writeFile(path, bytes);
  return withZip(path, async (zip) => {
    const found: [string, string][] = [];
    for (const entry of (await zip.entries()).toReversed()) found.push([entry.name, await zip.read(entry, 1_000_000)]);
    return found;
  });
}
