import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';

import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import { git } from './git.ts';
import type { GitObject } from './object-reader.ts';
import { type ObjectFormat, oidOf, packOf } from './pack.ts';
import { unpack } from './unpack.ts';

const MOST = 1 << 20;
const nowhere = (): Promise<null> => Promise.resolve(null);

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-unpack-'));
});

afterAll(() => rm(directory, { recursive: true, force: true }));

/** Texts of which each is like the one before, so that git describes them by each other. */
const texts = fc
  .tuple(
    fc.array(fc.string({ minLength: 1, maxLength: 30 }), { minLength: 20, maxLength: 60 }),
    fc.array(fc.tuple(fc.nat(), fc.string({ maxLength: 40 })), { minLength: 1, maxLength: 6 }),
  )
  .map(([lines, changes]) =>
    changes.reduce<readonly string[][]>(
      (all, [at, line]) => [...all, (all.at(-1) ?? []).with(at % lines.length, line)],
      [lines],
    ),
  )
  .map((all) => all.map((lines) => Buffer.from(lines.join('\n'))));

test.each(['sha1', 'sha256'] as const)('what git packs of %s is what comes out, by its id', async (format) => {
  const gitDir = await repository(format);
  await fc.assert(
    fc.asyncProperty(texts, fc.boolean(), async (blobs, isThin) => {
      const oids = await Promise.all(blobs.map((blob) => hashed(gitDir, blob)));
      const [known = '', ...others] = [...new Set(oids)];
      fc.pre(others.length > 0);
      // As a server packs what it sends to who has the first: described by that one, where it is thin.
      const pack = isThin ? await packed(gitDir, await commits(gitDir, known, others)) : await packed(gitDir, others);
      const at = (oid: string): GitObject | undefined => {
        const index = oids.indexOf(oid);
        return index < 0 ? undefined : { type: 'blob', bytes: blobs[index] ?? Buffer.alloc(0) };
      };
      const found = await unpack(pack, format, (oid) => Promise.resolve(at(oid) ?? null), MOST);
      for (const oid of others) expect(found?.get(oid)?.bytes.equals(at(oid)?.bytes ?? Buffer.alloc(0))).toBe(true);
      for (const [oid, object] of found ?? []) expect(oidOf(format, object)).toBe(oid);
    }),
    cases(15),
  );
});

test('what we pack is what comes out', async () => {
  const object = fc.record({
    type: fc.constantFrom('blob' as const, 'tree' as const, 'commit' as const),
    bytes: fc.uint8Array({ minLength: 24, maxLength: 5_000 }).map((bytes) => Buffer.from(bytes)),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(object, { maxLength: 10 }), fc.nat(), async (all, place) => {
      const [first] = all;
      const objects = new Map(all.map((one): [string, GitObject] => [oidOf('sha1', one), one]));
      if (first !== undefined) {
        const at = place % (first.bytes.length - 20);
        const other = { type: first.type, bytes: Buffer.from(first.bytes).fill(7, at, at + 20) };
        const like = { oid: oidOf('sha1', first), at, length: 20 };
        if (!objects.has(oidOf('sha1', other))) objects.set(oidOf('sha1', other), { ...other, like } as GitObject);
      }
      const found = await unpack(await packOf('sha1', objects), 'sha1', nowhere, MOST);
      expect([...(found ?? [])].map(([oid, one]) => [oid, one.type, one.bytes.toString('hex')])).toEqual(
        [...objects].map(([oid, one]) => [oid, one.type, one.bytes.toString('hex')]),
      );
    }),
    cases(100),
  );
});

test('what is cut off, altered, without what it is like, or too large is not read', async () => {
  const gitDir = await repository('sha1');
  const text = (last: string): Buffer => Buffer.from(`${'a line of it\n'.repeat(400)}${last}`);
  const [one, other] = [await hashed(gitDir, text('one')), await hashed(gitDir, text('other'))];
  const whole = await packed(gitDir, [one, other]);
  expect((await unpack(whole, 'sha1', nowhere, MOST))?.size).toBe(2);
  expect(await unpack(whole, 'sha1', nowhere, 8_000)).toBeNull();
  expect(await unpack(whole.subarray(0, -1), 'sha1', nowhere, MOST)).toBeNull();
  const thin = await packed(gitDir, await commits(gitDir, one, [other]));
  expect(thin.length).toBeLessThan(400);
  expect(await unpack(thin, 'sha1', nowhere, MOST)).toBeNull();
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const altered = Buffer.from(whole);
      altered[at] = (altered[at] ?? 0) ^ change;
      expect(await unpack(altered, 'sha1', nowhere, MOST)).toBeNull();
    }),
    cases(300),
  );
});

const BASE: GitObject = { type: 'blob', bytes: Buffer.from('the base of all of them') };

/** An entry of a pack: how something differs from the base. */
function deltaEntry(delta: Uint8Array): Buffer {
  const size = [((7 << 4) | (delta.length & 15)) + (delta.length > 15 ? 128 : 0)];
  for (let rest = delta.length >> 4; rest > 0; rest >>= 7) size.push((rest & 127) + (rest > 127 ? 128 : 0));
  return Buffer.concat([Buffer.from(size), Buffer.alloc(20), deflateSync(delta)]);
}

function packWith(entries: readonly Uint8Array[], many = entries.length): Buffer {
  const head = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  head.writeUInt32BE(many, 8);
  const body = Buffer.concat([head, ...entries]);
  return Buffer.concat([body, createHash('sha1').update(body).digest()]);
}

test('a delta that copies and adds is what it says, and one that says too much is none', async () => {
  const onto = (delta: readonly number[], most = MOST) =>
    unpack(packWith([deltaEntry(Uint8Array.from(delta))]), 'sha1', () => Promise.resolve(BASE), most);
  const [add, copy] = [
    [2, 88, 89],
    [0x90, 8],
  ]; // `XY`, and the first eight bytes
  const text = async (delta: readonly number[], most?: number) =>
    [...((await onto(delta, most)) ?? [])].map(([, { bytes }]) => bytes.toString());
  expect(await text([23, 10, ...add, ...copy])).toEqual(['XYthe base']);
  expect(await text([23, 9, ...add, ...copy])).toEqual([]);
  expect(await text([23, 11, ...add, ...copy])).toEqual([]);
  expect(await text([22, 10, ...add, ...copy])).toEqual([]);
  expect(await text([23, 24, 0x90, 24])).toEqual([]); // past its end
  expect(await text([23, 10, ...add, ...copy], 16)).toEqual([]);
});

test('what says that it is large is not made before it is known to be too large', async () => {
  const before = process.memoryUsage().arrayBuffers;
  const zeros = Buffer.alloc(64 * MOST);
  const size = [0x30 | 128, ...[4, 11, 18].map((bits) => ((zeros.length >> bits) & 127) | 128), zeros.length >> 25];
  const pack = packWith([Buffer.concat([Buffer.from(size), deflateSync(zeros)])]);
  expect(await unpack(pack, 'sha1', nowhere, MOST)).toBeNull();
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(80 * MOST); // what was made here, and no more
});

test('whatever stands under a right sum, it is read or not, and nothing else happens', async () => {
  const ref = fc.uint8Array({ maxLength: 15 }).map(deltaEntry);
  const delta = fc.uint8Array({ maxLength: 60 }).map((rest) => deltaEntry(Buffer.concat([Buffer.of(23, 9), rest])));
  const parts = fc.array(
    fc.oneof(
      delta,
      ref,
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    ),
    {
      maxLength: 4,
    },
  );
  await fc.assert(
    fc.asyncProperty(parts, fc.nat(5), async (entries, many) => {
      const found = await unpack(packWith(entries, many), 'sha1', () => Promise.resolve(BASE), MOST);
      expect(found === null || found.size <= many).toBe(true);
    }),
    cases(1_000),
  );
});

async function repository(format: ObjectFormat): Promise<string> {
  const gitDir = await mkdtemp(join(directory, `${format}-`));
  await git(['init', '--quiet', '--bare', `--object-format=${format}`, '--end-of-options', gitDir], {
    directories: [gitDir],
  });
  return gitDir;
}

async function ask(gitDir: string, argv: readonly [string, ...string[]], input: string | Buffer): Promise<Buffer> {
  const person = ['user.name', 'user.email'].map((name): [string, string] => [name, 'ada@example.com']);
  const { stdout } = await git(argv, { gitDir, directories: [gitDir], input, config: person });
  return stdout;
}

async function hashed(gitDir: string, bytes: Buffer): Promise<string> {
  return (await ask(gitDir, ['hash-object', '-w', '--stdin'], bytes)).toString().trim();
}

/** One commit with the first, and upon it one with the others. @returns what is wanted of git: the second without the first */
async function commits(gitDir: string, first: string, others: readonly string[]): Promise<readonly string[]> {
  const made: string[] = [];
  for (const blobs of [[first], others]) {
    const entries = blobs.map((oid, at) => `100644 blob ${oid}\tfile-${at}\n`).join('');
    const tree = (await ask(gitDir, ['mktree'], entries)).toString().trim();
    const parents = made.flatMap((oid) => ['-p', oid]);
    made.push((await ask(gitDir, ['commit-tree', tree, ...parents, '-m', 'one'], '')).toString().trim());
  }
  return [made[1] ?? '', `^${made[0] ?? ''}`];
}

async function packed(gitDir: string, wanted: readonly string[]): Promise<Buffer> {
  const thin = wanted.some((one) => one.startsWith('^')) ? ['--revs', '--thin'] : [];
  return ask(gitDir, ['pack-objects', '--stdout', '-q', ...thin], `${wanted.join('\n')}\n`);
}
