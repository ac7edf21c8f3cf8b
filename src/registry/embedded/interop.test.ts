import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { promisify } from 'node:util';

import Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { dockerHost } from '../../../tools/test-machine/machine.ts';
import { noise, pushImage, testImage, testIndex } from '../testing/images.ts';
import type { TestImage } from '../testing/images.ts';
import { serve } from '../testing/served.ts';
import type { Served } from '../testing/served.ts';
import { createEmbeddedRegistry } from './embedded.ts';
import type { EmbeddedRegistry } from './embedded.ts';

const run = promisify(execFile);

let directory: string;
let embedded: EmbeddedRegistry;
let served: Served;
let image: TestImage;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-interop-'));
  served = await serve(async (host) => {
    embedded = await createEmbeddedRegistry({ directory: join(directory, 'registry'), host });
    return (request, response) => void embedded.handle(request, response);
  });
  image = await testImage([{ data: noise(3_000_000) }, { hello: 'interop' }]);
  await pushImage(embedded.registry(), 'interop/app', image, 'v1');
});
afterAll(async () => {
  await served.close();
  await rm(directory, { recursive: true });
});

const skopeo = async (...argv: string[]) => run('skopeo', argv);

test('skopeo copies an image out and in again with the same digest', async () => {
  const folder = `dir:${join(directory, 'copy')}`;
  await skopeo('copy', '--src-tls-verify=false', `docker://${served.host}/interop/app@${image.digest}`, folder);
  await skopeo('copy', '--dest-tls-verify=false', folder, `docker://${served.host}/interop/copy:v1`);
  expect((await embedded.registry().manifest('interop/copy', 'v1'))?.digest).toBe(image.digest);
  const { stdout } = await skopeo('inspect', '--tls-verify=false', `docker://${served.host}/interop/copy:v1`);
  expect(JSON.parse(stdout)).toMatchObject({ Digest: image.digest, RepoTags: ['v1'] });
  await skopeo('delete', '--tls-verify=false', `docker://${served.host}/interop/copy:v1`);
  expect(await embedded.registry().manifest('interop/copy', 'v1')).toBeNull();
});

test('skopeo copies an index with all its images within the registry', async () => {
  const images = [image, await testImage([{ hello: 'arm64' }])];
  for (const one of images) await pushImage(embedded.registry(), 'interop/many', one);
  const index = testIndex(images);
  await embedded.registry().putManifest('interop/many', 'v1', index);
  const from = `docker://${served.host}/interop/many:v1`;
  const to = `docker://${served.host}/interop/moved:v1`;
  await skopeo('copy', '--all', '--src-tls-verify=false', '--dest-tls-verify=false', from, to);
  expect(await embedded.registry().manifest('interop/moved', 'v1')).toEqual(index);
});

test('docker pulls by digest, tags, and pushes back what it pulled', async () => {
  const docker = new Docker({ socketPath: (await dockerHost()).replace(/^unix:\/\//, '') });
  const work = async (stream: NodeJS.ReadableStream) => {
    let failure = '';
    stream.on('data', (chunk: Buffer) => (failure += /"error":"[^"]*"/.exec(chunk.toString())?.[0] ?? ''));
    await finished(stream);
    expect(failure).toBe('');
  };
  const source = `${served.host}/interop/app@${image.digest}`;
  await work(await docker.pull(source));
  expect((await docker.getImage(source).inspect()).RepoDigests).toEqual([source]);
  await docker.getImage(source).tag({ repo: `${served.host}/interop/pushed`, tag: 'v2' });
  const pushed = docker.getImage(`${served.host}/interop/pushed:v2`);
  await work(await pushed.push({ authconfig: { username: '', password: '', serveraddress: '' } }));
  const manifest = await embedded.registry().manifest('interop/pushed', 'v2');
  expect(manifest?.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json');
  await docker.getImage(source).remove({ force: true });
});
