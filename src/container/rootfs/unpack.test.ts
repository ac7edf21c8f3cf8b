import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { type TestEntry, type TestImage, type TestImages, testImages } from '../testing/images.ts';
import { removeTree } from './folders.ts';
import { chainId, HEAVY_BYTES } from './tree.ts';
import { ensureRootfs, sweepRootfs } from './unpack.ts';

let place: string;
let images: TestImages;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'towpath-rootfs-'));
  images = testImages();
});
afterEach(() => removeTree(place));

test('layers lie over each other: later files win, whiteouts hide what was below', async () => {
  const root = await unpack([
    [
      dir('etc'),
      file('etc/keep', 'a'),
      file('etc/gone', 'b'),
      file('etc/changed', 'old'),
      dir('opt'),
      file('opt/old', 'x'),
    ],
    [file('etc/.wh.gone', ''), file('etc/changed', 'new'), file('opt/new', 'y'), file('opt/.wh..wh..opq', '')],
  ]);
  expect(readdirSync(join(root, 'etc')).sort()).toEqual(['changed', 'keep']);
  expect(readFileSync(join(root, 'etc/changed'), 'utf8')).toBe('new');
  expect(readdirSync(join(root, 'opt'))).toEqual(['new']);
});

test('an opaque mark keeps what its own layer brought, however deep, and nothing else', async () => {
  const root = await unpack([
    [dir('a'), dir('a/b'), file('a/b/old', '1')],
    [file('a/b/new', '2'), file('a/.wh..wh..opq', '')],
  ]);
  expect(readdirSync(join(root, 'a/b'))).toEqual(['new']);
});

test('links inside the image are followed inside the image only', async () => {
  const outside = join(place, 'outside');
  writeFileSync(outside, 'untouched');
  const root = await unpack([
    [dir('usr'), dir('usr/lib'), link('lib', 'usr/lib'), link('up', '../../../../../..'), link('abs', place)],
    [file('lib/libc.so', 'elf'), file('up/passwd', 'inside'), file(`abs/outside`, 'inside')],
  ]);
  expect(readFileSync(join(root, 'usr/lib/libc.so'), 'utf8')).toBe('elf');
  expect(readFileSync(join(root, 'passwd'), 'utf8')).toBe('inside');
  expect(readFileSync(outside, 'utf8')).toBe('untouched');
  expect(readFileSync(join(root, place, 'outside'), 'utf8')).toBe('inside');
  expect(readlinkSync(join(root, 'lib'))).toBe('usr/lib');
});

test('a folder that becomes a link does not lend its mode to what the link points to', async () => {
  const victim = join(place, 'victim');
  writeFileSync(victim, '', { mode: 0o600 });
  await unpack([[{ name: 'x', type: 'directory', mode: 0o777 }], [link('x', victim)]]);
  expect(statSync(victim).mode & 0o777).toBe(0o600);
});

const circle: TestEntry = { name: 'circle', type: 'symlink', linkname: 'circle' };

test.each<[string, TestEntry[]]>([
  ['a name that climbs out', [file('../escape', 'x')]],
  ['a name that climbs out in the middle', [file('a/../../escape', 'x')]],
  ['a hard link to a file outside', [{ name: 'passwd', type: 'link', linkname: '/etc/passwd' }]],
  ['a hard link to a file above', [{ name: 'passwd', type: 'link', linkname: '../../../../etc/passwd' }]],
  ['a hard link through links in circles', [circle, { name: 'passwd', type: 'link', linkname: 'circle/x' }]],
  ['a file below links in circles', [circle, file('circle/x', 'x')]],
  ['a file used as a folder', [file('a', 'x'), file('a/b', 'y')]],
])('%s is refused and nothing stays behind', async (_what, entries) => {
  await expect(unpack([entries])).rejects.toMatchObject({ code: 'container.image-refused' });
  expect(readdirSync(join(place, 'rootfs'))).toEqual([]);
  expect(existsSync(join(place, 'escape'))).toBe(false);
});

test('devices are left out and set-user-id bits dropped', async () => {
  const root = await unpack([
    [
      { name: 'null', type: 'character-device', devmajor: 1, devminor: 3 },
      { name: 'su', content: 'x', mode: 0o4755 },
    ],
  ]);
  expect(readdirSync(root)).toEqual(['su']);
  expect(statSync(join(root, 'su')).mode & 0o7000).toBe(0);
});

test('an image that would fill the disk is refused', async () => {
  const digest = await images.add('shop/web', { layers: [[file('a', 'x'.repeat(100)), file('b', 'x'.repeat(100))]] });
  const tight = { ...options(), limits: { maxBytes: 150, maxEntries: 10 } };
  await expect(ensureRootfs(images, 'shop/web', digest, tight)).rejects.toMatchObject({
    code: 'container.image-refused',
  });
  expect(readdirSync(join(place, 'rootfs'))).toEqual([]);
});

test('a layer that is not what its image says is refused', async () => {
  const digest = await images.add('shop/web', { layers: [[file('a', 'x')]], diffIds: [sha256('something else')] });
  await expect(ensureRootfs(images, 'shop/web', digest, options())).rejects.toMatchObject({
    code: 'container.image-malformed',
  });
});

test('images that begin alike unpack it once, and none sees what another lays over it', async () => {
  const base = [
    { name: 'usr', type: 'directory' as const, mode: 0o555 },
    file('usr/node', heavy),
    file('usr/motd', 'from the base'),
    link('bin', 'usr'),
  ];
  const first = await unpack([base, [file('usr/motd', 'first'), file('a', '1')]]);
  const blobs = images.read.length;
  const second = await unpack([base, [file('usr/.wh.motd', ''), file('b', '2')]]);
  expect(images.read.length - blobs).toBe(2); // its configuration and its own layer
  expect(statSync(join(second, 'usr/node')).ino).toBe(statSync(join(first, 'usr/node')).ino);
  expect(readdirSync(join(first, 'bin/')).sort()).toEqual(['motd', 'node']);
  expect(readFileSync(join(first, 'usr/motd'), 'utf8')).toBe('first');
  expect(readdirSync(join(second, 'usr'))).toEqual(['node']);
  expect(statSync(join(second, 'usr')).mode & 0o777).toBe(0o555);
  const third = await unpack([base, [file('c', '3')]]);
  expect(readFileSync(join(third, 'usr/motd'), 'utf8')).toBe('from the base');
});

test('images that begin alike and are asked for at once unpack it once', async () => {
  const base = file('usr', heavy);
  const digests = await Promise.all(
    ['a', 'b', 'c'].map((name) => images.add('shop/web', { layers: [[base], [file(name, '')]], compression: 'none' })),
  );
  await Promise.all(digests.map((digest) => ensureRootfs(images, 'shop/web', digest, options())));
  expect(images.read).toHaveLength(digests.length * 2 + 1); // of each its configuration and its own layer
});

test('what images begin with counts towards their limits', async () => {
  const layers = [[file('big', heavy)], [file('a', 'x')]];
  await unpack(layers);
  const digest = await images.add('shop/web', { layers: [...layers, [file('b', 'y')]], compression: 'none' });
  const tight = { ...options(), limits: { maxBytes: HEAVY_BYTES, maxEntries: 10 } };
  await expect(ensureRootfs(images, 'shop/web', digest, tight)).rejects.toMatchObject({
    code: 'container.image-refused',
  });
});

test('an image that the registry lost is said to be missing', async () => {
  await expect(ensureRootfs(images, 'shop/web', sha256('nothing'), options())).rejects.toMatchObject({
    code: 'container.image-missing',
  });
});

test('two that unpack one image at once both get it, and it is unpacked once on disk', async () => {
  const digest = await images.add('shop/web', image([[file('app/server.js', 'x')]]));
  const both = await Promise.all([1, 2].map(() => ensureRootfs(images, 'shop/web', digest, options())));
  expect(both[0]).toEqual(both[1]);
  expect(readdirSync(join(place, 'rootfs'))).toHaveLength(1);
});

test('once unpacked, an image is served without its registry', async () => {
  const digest = await images.add('shop/web', image([[file('a', 'x')]]));
  const first = await ensureRootfs(images, 'shop/web', digest, options());
  images.forget(digest);
  expect(await ensureRootfs(images, 'shop/web', digest, options())).toEqual(first);
  expect(first.config).toEqual({
    entrypoint: ['/usr/bin/node'],
    command: ['server.js'],
    env: { PATH: '/usr/bin', A: 'b=c' },
    workdir: '/app',
    user: '65532',
  });
});

test('a sweep removes the images that nobody keeps', async () => {
  const one = await images.add('shop/web', image([[file('a', '1')]]));
  const two = await images.add('shop/web', image([[{ name: 'd', type: 'directory', mode: 0o555 }, file('d/a', '2')]]));
  for (const digest of [one, two]) await ensureRootfs(images, 'shop/web', digest, options());
  expect(await sweepRootfs(join(place, 'rootfs'), new Set([one]), Date.now() - 60_000)).toBe(0);
  expect(await sweepRootfs(join(place, 'rootfs'), new Set([one]), Date.now() + 60_000)).toBe(1);
  expect(readdirSync(join(place, 'rootfs'))).toEqual([one.slice('sha256:'.length)]);
});

test('a sweep removes what images began with, and they stay whole', async () => {
  const digest = await images.add('shop/web', {
    layers: [[file('usr', heavy)], [file('a', '1')]],
    compression: 'none',
  });
  const { rootfs = '' } = await ensureRootfs(images, 'shop/web', digest, options());
  expect(readdirSync(join(place, 'rootfs/layers'))).toHaveLength(1);
  await sweepRootfs(join(place, 'rootfs'), new Set([digest]), Date.now() + 60_000);
  expect(readdirSync(join(place, 'rootfs/layers'))).toEqual([]);
  expect(readdirSync(rootfs).sort()).toEqual(['a', 'usr']);
  const again = await images.add('shop/web', { layers: [[file('usr', heavy)], [file('b', '2')]], compression: 'none' });
  expect(readdirSync((await ensureRootfs(images, 'shop/web', again, options())).rootfs ?? '').sort()).toEqual([
    'b',
    'usr',
  ]);
});

test('the name of layers over each other is that of the OCI image specification', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((text) => ({ diffId: sha256(text) }));
  if (a === undefined || b === undefined || c === undefined) throw new Error('three');
  expect(chainId([a])).toBe(a.diffId);
  expect(chainId([a, b])).toBe(sha256(`${a.diffId} ${b.diffId}`));
  expect(chainId([a, b, c])).toBe(sha256(`${chainId([a, b])} ${c.diffId}`));
});

test('what a killed server left half-unpacked is swept by the next one', async () => {
  const digest = await images.add('shop/web', image([[file('a', '1')]]));
  await ensureRootfs(images, 'shop/web', digest, options());
  rmSync(join(place, 'rootfs', digest.slice(7)), { recursive: true });
  writeFileSync(join(place, 'rootfs', '.draft-4194399-00ff'), ''); // above the highest process id
  await ensureRootfs(images, 'shop/web', digest, options());
  expect(readdirSync(join(place, 'rootfs'))).toEqual([digest.slice(7)]);
});

/** Content of a layer that is heavy as long as nothing compresses it. */
const heavy = 'x'.repeat(HEAVY_BYTES);

function options() {
  return { directory: join(place, 'rootfs'), host: images.host, platform: 'linux/amd64' };
}

async function unpack(layers: readonly (readonly TestEntry[])[]): Promise<string> {
  const digest = await images.add('shop/web', { layers, compression: 'none' });
  return (await ensureRootfs(images, 'shop/web', digest, options())).rootfs ?? '';
}

function image(layers: readonly (readonly TestEntry[])[]): TestImage {
  const Env = ['PATH=/usr/bin', 'A=b=c', 'broken'];
  return {
    layers,
    config: { Entrypoint: ['/usr/bin/node'], Cmd: ['server.js'], Env, WorkingDir: '/app', User: '65532' },
  };
}

function file(name: string, content: string): TestEntry {
  return { name, content };
}

function dir(name: string): TestEntry {
  return { name, type: 'directory', mode: 0o755 };
}

function link(name: string, linkname: string): TestEntry {
  return { name, type: 'symlink', linkname };
}
