import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';

import { cases } from '../../lib/testing/cases.ts';
import { type TestEntry, testImages } from '../testing/images.ts';
import { readImageFiles } from './image-files.ts';
import { ensureRootfs } from './unpack.ts';

const PLATFORM = 'linux/amd64';
const isJson = (path: string): boolean => path.endsWith('.json');

test('a file is what the last layer left of it', async () => {
  const files = await read([
    [
      { name: './a/one.json', content: 'old' },
      { name: 'a/two.json', content: 'two' },
      { name: 'b/three.json', content: 'three' },
      { name: 'c/deep/four.json', content: 'four' },
      { name: 'd/five.json', content: 'five' },
      { name: 'readme', content: 'no' },
    ],
    [
      { name: '/a/one.json', content: 'new' },
      { name: 'b/.wh..wh..opq', content: '' },
      { name: 'b/six.json', content: 'six' },
      { name: '.wh.c', content: '' },
      { name: 'd', content: 'a file in place of the folder' },
    ],
  ]);
  expect(files).toEqual({ 'a/one.json': 'new', 'a/two.json': 'two', 'b/six.json': 'six' });
});

test('a hard link has the content of a file that nobody asked for', async () => {
  const link = { type: 'link' as const, linkname: 'store/5f' };
  expect(
    await read([
      [{ name: 'store/5f', content: 'it' }],
      [
        { name: 'a.json', ...link },
        { name: 'b.json', ...link },
      ],
    ]),
  ).toEqual({ 'a.json': 'it', 'b.json': 'it' });
});

test('an image that is made to fill the memory, or that leaves itself, is refused', async () => {
  const refused = { code: 'container.image-refused' };
  await expect(read([[{ name: 'a.json', content: Buffer.alloc(2000) }]], 1000)).rejects.toMatchObject(refused);
  const halves = [1, 2, 3].map((at): TestEntry[] => [{ name: `${at}.json`, content: Buffer.alloc(400) }]);
  await expect(read(halves, 1000)).rejects.toMatchObject(refused);
  await expect(read([[{ name: '../a.json', content: '' }]])).rejects.toMatchObject(refused);
});

const anyPath = fc
  .array(fc.constantFrom('a', 'b', 'c.json'), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'));
const anyEntry: fc.Arbitrary<TestEntry> = fc.oneof(
  fc.tuple(anyPath, fc.constantFrom('x', 'y')).map(([name, content]) => ({ name, content })),
  fc.tuple(anyPath, fc.constantFrom('x', 'y')).map(([name, content]) => ({ name: `${name}/c.json`, content })),
  anyPath.map((name) => ({ name, type: 'directory' as const })),
  anyPath.map((name) => ({ name: name.replace(/[^/]+$/, (last) => `.wh.${last}`), content: '' })),
  anyPath.map((name) => ({ name: name.replace(/[^/]+$/, '.wh..wh..opq'), content: '' })),
);
/** As an archiver writes a layer: each path once, and nothing below a file. */
const anyLayer = fc.array(anyEntry, { maxLength: 5 }).map((entries) => {
  const taken = new Set<string>();
  return entries.filter(({ name, type }) => {
    const above = name.split('/').map((_, at, parts) => parts.slice(0, at).join('/'));
    const isFree =
      !taken.has(`file ${name}`) && !taken.has(`folder ${name}`) && above.every((path) => !taken.has(`file ${path}`));
    if (!isFree) return false;
    taken.add(`${type === 'directory' ? 'folder' : 'file'} ${name}`);
    for (const path of above) taken.add(`folder ${path}`);
    return true;
  });
});

test('the files are those of the unpacked image', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-files-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await fc.assert(
    fc.asyncProperty(fc.array(anyLayer, { minLength: 1, maxLength: 4 }), async (layers) => {
      const images = testImages();
      const digest = await images.add('shop/web', { layers });
      const found = await readImageFiles(images, 'shop/web', digest, {
        platform: PLATFORM,
        wants: isJson,
        maxBytes: 1e6,
      });
      const options = { directory, host: 'here', platform: PLATFORM };
      // one that no machine can have (a file below a file) is refused there
      const unpack = await ensureRootfs(images, 'shop/web', digest, options).catch(() => null);
      fc.pre(unpack !== null);
      const rootfs = unpack?.rootfs ?? '';
      const names = await readdir(rootfs, { recursive: true, withFileTypes: true });
      const there = names
        .filter((entry) => entry.isFile() && isJson(entry.name))
        .map((entry) => join(entry.parentPath, entry.name));
      const unpacked = await Promise.all(
        there.map(async (path) => [path.slice(rootfs.length + 1), await readFile(path, 'utf8')]),
      );
      expect(texts(found)).toEqual(Object.fromEntries(unpacked));
    }),
    cases(40),
  );
});

async function read(layers: readonly (readonly TestEntry[])[], maxBytes = 1_000_000): Promise<Record<string, string>> {
  const images = testImages();
  const digest = await images.add('shop/web', { layers });
  return texts(await readImageFiles(images, 'shop/web', digest, { platform: PLATFORM, wants: isJson, maxBytes }));
}

function texts(files: ReadonlyMap<string, Buffer>): Record<string, string> {
  return Object.fromEntries([...files].map(([path, bytes]) => [path, bytes.toString()]));
}
