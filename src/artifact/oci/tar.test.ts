import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { cases } from '../../lib/testing/cases.ts';
import { writeLayer } from './layer.ts';
import type { LayerItem } from './layer.ts';
import { readTar } from './tar-reader.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-tar-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

let count = 0;
async function layerOf(items: readonly LayerItem[]) {
  const file = join(folder, `${++count}.tgz`);
  const layer = await writeLayer(items, file, new AbortController().signal);
  return { layer, file, bytes: await readFile(file) };
}

function file(path: string, body: string, executable = false): LayerItem {
  return { kind: 'file', path, executable, read: async () => Buffer.from(body) };
}

const part = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 130 })
  .map((text) => `x${text.replace(/[/\0]/g, '_')}`);
const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));

test('what is written is read again, whatever the names', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(path, { maxLength: 6 }),
      fc.string(),
      fc.boolean(),
      async (paths, body, executable) => {
        const plain = paths.filter((one) => !paths.some((other) => other.startsWith(`${one}/`)));
        const { bytes } = await layerOf(plain.map((one) => file(one, body, executable)));
        const found = [...readTar(gunzipSync(bytes))].filter(({ type }) => type === '0');
        expect(found.map((entry) => entry.path).sort()).toEqual([...plain].sort());
        for (const entry of found) {
          expect(entry.body.toString()).toBe(Buffer.from(body).toString());
          expect(entry.mode).toBe(executable ? 0o755 : 0o644);
        }
      },
    ),
    cases(60),
  );
});

test('the order in which items come does not matter, and a later one replaces an earlier one', async () => {
  const items = [
    file('app/b', '2'),
    file('app/a', '1', true),
    { kind: 'symlink', path: 'app/c', target: 'a' } as const,
  ];
  const one = await layerOf([file('app/b', 'old'), ...items]);
  const other = await layerOf(items.toReversed());
  expect(one.layer).toEqual(other.layer);
});

test('GNU tar reads long and foreign names, links and modes', async () => {
  const long = `app/${'deep/'.repeat(60)}ä-${'n'.repeat(120)}`;
  const { file: archive } = await layerOf([
    file(long, 'x'),
    file('app/run', 'y', true),
    { kind: 'symlink', path: 'app/link', target: `../${'t'.repeat(150)}` },
  ]);
  const listed = execFileSync('tar', ['-tvzf', archive, '--quoting-style=literal', '--full-time', '--utc'], {
    encoding: 'utf8',
  });
  expect(listed).toContain(long);
  expect(listed).toMatch(/-rwxr-xr-x 0\/0 +1 1970-01-01 00:00:00 app\/run/);
  expect(listed).toContain(`app/link -> ../${'t'.repeat(150)}`);
  expect(listed.split('\n').every((line) => !/ (\/|usr|\.)\/?$/.test(line))).toBe(true);
});

test('a broken archive is refused, not half read', () => {
  expect(() => [...readTar(Buffer.alloc(512, 7))]).toThrow('cannot be read');
  const torn = execFileSync('tar', ['-cf', '-', 'package.json']).subarray(0, 700);
  expect(() => [...readTar(torn)]).toThrow('cut off');
});
