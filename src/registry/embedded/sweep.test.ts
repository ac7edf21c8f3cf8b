import { mkdtemp, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buffer } from 'node:stream/consumers';

import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';

import { EMPTY_CONFIG, readFunctionManifest, writeFunctionManifest } from '../../artifact/zip/function-manifest.ts';
import { cases, within } from '../../lib/testing/cases.ts';
import { isDigest, sha256, sha256Hex } from '../../lib/digest.ts';
import { bundle, startProgram } from '../../store/testing/program.ts';
import { createRegistryClient } from '../client/client.ts';
import { OCI_MANIFEST, parseManifest } from '../manifest.ts';
import type { Registry } from '../registry.ts';
import { noise, pushBlob, pushImage, testImage, testIndex, testReferrer } from '../testing/images.ts';
import { serve } from '../testing/served.ts';
import { createEmbeddedRegistry } from './embedded.ts';
import { A_DAY_AGO, age, nothing } from './testing/age.ts';
import { modelOf, operation } from './testing/sweep-model.ts';
import type { Operation } from './testing/sweep-model.ts';

async function open() {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-sweep-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const embedded = await createEmbeddedRegistry({ directory, host: 'registry.test' });
  const sweep = () => embedded.sweepContent({ kept: nothing(), beforeMs: A_DAY_AGO() });
  return { directory, embedded, registry: embedded.registry(), sweep };
}

const END: Operation[] = [{ kind: 'age' }, { kind: 'sweep', kept: [] }];

test(
  'whatever is pushed, named, unnamed, mounted and left to grow old: a sweep leaves what is needed, and no more',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 25 }), async (operations) => {
        const directory = await mkdtemp(join(tmpdir(), 'towpath-sweep-'));
        try {
          const model = await modelOf(directory);
          for (const one of [...operations, ...END]) {
            await model.apply(one);
            expect(await model.onDisk()).toEqual(model.expected());
          }
        } finally {
          await rm(directory, { recursive: true });
        }
      }),
      cases(40),
    );
  },
  within(600_000),
);

test('who reads an image by a name that goes a moment later does not keep half of it', async () => {
  const { directory, registry, sweep } = await open();
  const image = await testImage([{ a: 'b' }]);
  await pushImage(registry, 'a/b', image, 'name');
  await age(directory);
  expect(await registry.manifest('a/b', 'name')).not.toBeNull();
  await registry.deleteManifest('a/b', 'name');
  await sweep();
  expect(await registry.hasBlob('a/b', sha256(image.config))).toBeNull();
  expect(await registry.manifest('a/b', image.digest)).toBeNull();
});

test('a push that was told that a blob is there may rely on it, however old it was', async () => {
  const { directory, registry, sweep } = await open();
  const image = await testImage([{ old: 'layer' }]);
  for (const blob of [image.config, ...image.layers]) await pushBlob(registry, 'a/app', blob);
  await age(directory);
  const [layer = Buffer.alloc(0)] = image.layers;
  for (const blob of [image.config, layer]) expect(await registry.hasBlob('a/app', sha256(blob))).toBe(blob.length);
  await sweep();
  await registry.putManifest('a/app', 'v1', image);
  expect(await holes(registry, 'a/app', 'v1')).toEqual([]);
  await registry.deleteManifest('a/app', 'v1');
  await age(directory);
  expect(await registry.mountBlob('b/app', sha256(layer), 'a/app')).toBe(true);
  expect(await sweep()).toMatchObject({ files: 2 });
  expect(await registry.hasBlob('b/app', sha256(layer))).toBe(layer.length);
});

test('who asked for a manifest by its digest may name it, and put it into an index, after a sweep', async () => {
  const { directory, registry, sweep } = await open();
  const image = await testImage([{ child: 'of an index' }]);
  const index = testIndex([image]);
  await pushImage(registry, 'a/app', image);
  const referrer = testReferrer(image, 'application/vnd.towpath.test', 'x');
  await pushBlob(registry, 'a/app', Buffer.from('{}'));
  const about = await registry.putManifest('a/app', sha256(referrer.bytes), referrer);
  await age(directory);
  expect(await registry.manifest('a/app', image.digest)).not.toBeNull();
  expect(await sweep()).toEqual({ files: 0, bytes: 0 });
  await registry.putManifest('a/app', 'both', index);
  await age(directory);
  expect(await sweep()).toEqual({ files: 0, bytes: 0 });
  expect(await holes(registry, 'a/app', 'both')).toEqual([]);
  expect(await registry.referrers('a/app', image.digest)).toMatchObject([{ digest: about }]);
});

test('what is kept without a name stays, and bytes that go are counted', async () => {
  const { directory, embedded, registry } = await open();
  const [kept, gone] = [await testImage([{ kept: noise(5000) }]), await testImage([{ gone: noise(50_000, 'gone') }])];
  for (const image of [kept, gone]) await pushImage(registry, 'a/app', image);
  await age(directory);
  async function* those() {
    yield { repository: 'a/app', digest: kept.digest };
    yield { repository: 'never/pushed', digest: gone.digest };
    yield { repository: 'a/app', digest: sha256('nothing of ours') };
  }
  const { files, bytes } = await embedded.sweepContent({ kept: those(), beforeMs: A_DAY_AGO() });
  expect(files).toBe(3);
  expect(bytes).toBeGreaterThan(50_000);
  expect(await holes(registry, 'a/app', kept.digest)).toEqual([]);
  await expect(registry.tag('a/app', gone.digest, 'late')).rejects.toMatchObject({ code: 'registry.not-found' });
});

test('a function stays with its zips, as an image does with its layers', async () => {
  const { directory, embedded, registry } = await open();
  const bodies = [noise(3000), noise(4000, 'other')];
  for (const body of bodies) await pushBlob(registry, 'a/f', body);
  await pushBlob(registry, 'a/f', EMPTY_CONFIG);
  const bytes = writeFunctionManifest({
    node: '22',
    platform: 'linux/amd64',
    rest: 'registry',
    zips: bodies.map((body, at) => ({ title: `${at}.zip`, digest: sha256(body), size: body.length })),
  });
  const digest = await registry.putManifest('a/f', sha256(bytes), { mediaType: OCI_MANIFEST, bytes });
  await age(directory);
  async function* those() {
    yield { repository: 'a/f', digest };
  }
  expect(await embedded.sweepContent({ kept: those(), beforeMs: A_DAY_AGO() })).toEqual({ files: 0, bytes: 0 });
  expect(await holes(registry, 'a/f', digest)).toEqual([]);
  expect(await registry.tag('a/f', digest, 'env-prod')).toBe('tagged');
  expect(readFunctionManifest(bytes)?.zips.map((zip) => zip.digest)).toEqual(bodies.map((body) => sha256(body)));
});

test('an upload that took longer than the time of grace is as new as its end', async () => {
  const { directory, embedded, sweep } = await open();
  const served = await serve(() => (request, response) => void embedded.handle(request, response));
  onTestFinished(() => served.close());
  const url = `http://${served.host}`;
  const begun = await fetch(`${url}/v2/a/app/blobs/uploads/`, { method: 'POST' });
  const place = `${url}${begun.headers.get('location')}`;
  await fetch(place, { method: 'PATCH', body: 'slow' });
  const [file = ''] = await readdir(join(directory, 'uploads', 'a+app'));
  await utimes(join(directory, 'uploads', 'a+app', file), 0, 0);
  expect((await fetch(`${place}?digest=${sha256('slow')}`, { method: 'PUT' })).status).toBe(201);
  await sweep();
  expect((await fetch(`${url}/v2/a/app/blobs/${sha256('slow')}`)).status).toBe(200);
});

test('nothing goes while a manifest that stays is damaged, and the sweep says which', async () => {
  const { directory, registry, sweep } = await open();
  const [image, garbage] = [await testImage([{ damaged: '1' }]), await testImage([{ garbage: '1' }])];
  await pushImage(registry, 'a/app', image);
  await registry.putManifest('a/app', 'index', testIndex([image]));
  await pushImage(registry, 'a/app', garbage);
  const hex = image.digest.slice(7);
  await writeFile(join(directory, 'blobs', 'sha256', hex.slice(0, 2), hex), 'rotten');
  await age(directory);
  await expect(sweep()).rejects.toMatchObject({ code: 'registry.digest-mismatch', what: expect.stringContaining(hex) });
  await pushImage(registry, 'a/app', image);
  await age(directory);
  expect(await sweep()).toMatchObject({ files: 3 });
});

test('a file that a killed sweep had moved aside is found where it was', async () => {
  const { directory, registry, sweep } = await open();
  const image = await testImage([{ moved: 'aside' }]);
  await pushImage(registry, 'a/app', image, 'v1');
  let moved = 0;
  for (const folder of ['blobs', join('repositories', 'a/app')]) {
    for (const entry of await readdir(join(directory, folder), { recursive: true })) {
      const path = join(folder, entry);
      if (!(await stat(join(directory, path))).isFile() || path.includes('_tags')) continue;
      await rename(join(directory, path), join(directory, 'limbo', `${sha256Hex(path).slice(0, 40)}.old_${moved++}`));
    }
  }
  await age(directory);
  expect(await sweep()).toEqual({ files: 0, bytes: 0 });
  expect(await holes(registry, 'a/app', 'v1')).toEqual([]);
  await registry.deleteManifest('a/app', 'v1');
  await age(directory);
  await sweep();
  expect(await readdir(join(directory, 'limbo'))).toEqual([]);
  expect(await registry.manifest('a/app', image.digest)).toBeNull();
});

test(
  'pushes lose nothing to the sweeps of other servers at the same moment',
  async () => {
    const { directory, embedded, registry } = await open();
    const served = await serve(() => (request, response) => void embedded.handle(request, response));
    onTestFinished(() => served.close());
    const pushers = [registry, createRegistryClient({ host: served.host })];
    const sweepers = await Promise.all([1, 2].map(() => createEmbeddedRegistry({ directory, host: 'registry.test' })));
    const base = noise(40_000, 'base');
    const images = await Promise.all(
      Array.from({ length: 12 }, (_, n) => testImage([{ base }, { data: noise(2000, `${n}`) }])),
    );
    let removed = 0;
    for (let round = 0; round < 6; round++) {
      for (const image of images) await pushImage(registry, 'raced/app', image);
      for (const tag of await registry.tags('raced/app')) await registry.deleteManifest('raced/app', tag);
      await age(directory); // all of it may go now, and all of it is pushed again now
      const sweeps = sweepers.map(async (one) => {
        const { files } = await one.sweepContent({ kept: nothing(), beforeMs: A_DAY_AGO() });
        removed += files;
      });
      const pushes = pushers.map(async (pusher, which) => {
        // each begins elsewhere, so that every sweep meets every image at another moment
        for (const step of images.keys()) {
          const n = (round + step + which * 6) % images.length;
          await pushImage(pusher, 'raced/app', images[n] ?? expect.unreachable(), `t-${n}`);
        }
      });
      await Promise.all([...sweeps, ...pushes]);
      for (const n of images.keys()) expect(await holes(registry, 'raced/app', `t-${n}`)).toEqual([]);
    }
    expect(removed).toBeGreaterThan(0);
    expect(await readdir(join(directory, 'limbo'))).toEqual([]);
  },
  within(300_000),
);

test(
  'a sweep that is killed anywhere harms nothing, and the next one ends its work',
  async () => {
    const { directory, registry, sweep } = await open();
    const file = await bundle(fileURLToPath(new URL('testing/sweeper.ts', import.meta.url)));
    const base = noise(100_000, 'base');
    const image = (name: string) => testImage([{ base }, { data: noise(2000, name) }]);
    let interrupted = 0;
    for (let round = 0; round < 8; round++) {
      await pushImage(registry, 'killed/app', await image(`kept ${round}`), `kept-${round}`);
      for (let n = 0; n < 6; n++) await pushImage(registry, 'killed/app', await image(`garbage ${round} ${n}`));
      await age(directory);
      const sweeper = startProgram(file, [directory, `${60 * 2 ** round}`]);
      for (let n = 0; n < 6; n += 2)
        await pushImage(registry, 'killed/app', await image(`garbage ${round} ${n}`), 'again');
      await sweeper.ended;
      if (sweeper.lines.length === 0) interrupted++;
      for (const tag of await registry.tags('killed/app')) expect(await holes(registry, 'killed/app', tag)).toEqual([]);
    }
    expect(interrupted).toBeGreaterThan(0);
    for (const tag of await registry.tags('killed/app')) await registry.deleteManifest('killed/app', tag);
    await age(directory);
    await sweep();
    const left = await readdir(join(directory, 'blobs'), { recursive: true, withFileTypes: true });
    expect([...left.filter((entry) => entry.isFile()), ...(await readdir(join(directory, 'limbo')))]).toEqual([]);
  },
  within(300_000),
);

/** What belongs to an image, or to the images of an index, and cannot be read whole. */
async function holes(registry: Registry, repository: string, reference: string): Promise<string[]> {
  const manifest = await registry.manifest(repository, reference);
  if (manifest === null) return [reference];
  const { blobs, manifests } = parseManifest(manifest.bytes, manifest.mediaType);
  const found = await Promise.all([
    ...blobs.map(async ({ digest, size }) => ((await sizeOf(registry, repository, digest)) === size ? [] : [digest])),
    ...manifests.map(({ digest }) => holes(registry, repository, digest)),
  ]);
  return found.flat();
}

async function sizeOf(registry: Registry, repository: string, digest: string): Promise<number | null> {
  if (!isDigest(digest)) return null;
  try {
    return (await buffer(await registry.readBlob(repository, digest))).length;
  } catch {
    return null;
  }
}
