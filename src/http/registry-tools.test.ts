import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { promisify } from 'node:util';

import Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { dockerHost } from '../../tools/test-machine/machine.ts';
import { createGuard, type Guard } from '../access/guard.ts';
import { createPasses } from '../access/registry-pass.ts';
import { memoryKeeper } from '../access/testing.ts';
import { systemClock } from '../lib/clock.ts';
import { createEmbeddedRegistry, type EmbeddedRegistry } from '../registry/embedded/embedded.ts';
import { noise, pushImage, testImage } from '../registry/testing/images.ts';
import { serve, type Served } from '../registry/testing/served.ts';
import { createRegistryDoor } from './registry-door.ts';

const run = promisify(execFile);

let directory: string;
let embedded: EmbeddedRegistry;
let served: Served;
let guard: Guard;
/** May push into the project `shop`, and may do nothing elsewhere. */
let token: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-tools-'));
  guard = createGuard({ keeper: memoryKeeper(), clock: systemClock, random: randomBytes });
  const passes = createPasses(randomBytes(32), systemClock);
  served = await serve(async (host) => {
    embedded = await createEmbeddedRegistry({ directory: join(directory, 'registry'), host });
    const door = createRegistryDoor({ registry: embedded, guard, passes, openToLoopback: false });
    return (request, response) => void door(request, response);
  });
  token = (await guard.createToken({ name: 'ci', user: 'ci', roles: ['operator'], projects: ['shop'] })).secret;
});
afterAll(async () => {
  await served.close();
  await rm(directory, { recursive: true });
});

async function image(repository: string) {
  const made = await testImage([{ data: noise(200_000, repository) }]);
  await pushImage(embedded.registry(), repository, made, 'v1');
  return made;
}

test('skopeo logs in once, copies within its project, and is told why it may not elsewhere', async () => {
  const { digest } = await image('shop/web');
  await image('docs/site');
  const authFile = join(directory, 'skopeo.json');
  const skopeo = async (...argv: string[]) => run('skopeo', argv);
  const login = ['login', '--tls-verify=false', '--authfile', authFile, '--username', 'any', '--password'];
  await expect(skopeo(...login, 'wrong', served.host)).rejects.toThrow();
  await skopeo(...login, token, served.host);
  const flags = ['--authfile', authFile, '--src-tls-verify=false', '--dest-tls-verify=false'];
  const copy = async (from: string, to: string) =>
    skopeo('copy', ...flags, `docker://${served.host}/${from}`, `docker://${served.host}/${to}`);
  await copy('shop/web:v1', 'shop/copy:v2');
  expect((await embedded.registry().manifest('shop/copy', 'v2'))?.digest).toBe(digest);
  await expect(copy('docs/site:v1', 'shop/stolen:v1')).rejects.toThrow(/denied|may not pull docs\/site/);
  await skopeo('delete', '--authfile', authFile, '--tls-verify=false', `docker://${served.host}/shop/copy:v2`);
  expect(await embedded.registry().manifest('shop/copy', 'v2')).toBeNull();
});

test('a Docker Engine logs in, pulls and pushes within its project alone', async () => {
  const { digest } = await image('shop/api');
  const docker = new Docker({ socketPath: (await dockerHost()).replace(/^unix:\/\//, '') });
  const authconfig = { username: 'any', password: token, serveraddress: served.host };
  const failureOf = async (stream: NodeJS.ReadableStream) => {
    let failure = '';
    stream.on('data', (chunk: Buffer) => (failure += /"error":"[^"]*"/.exec(chunk.toString())?.[0] ?? ''));
    await finished(stream);
    return failure;
  };
  await docker.checkAuth(authconfig);
  await expect(docker.checkAuth({ ...authconfig, password: 'wrong' })).rejects.toThrow();
  const source = `${served.host}/shop/api@${digest}`;
  await expect(docker.pull(source)).rejects.toThrow();
  expect(await failureOf(await docker.pull(source, { authconfig }))).toBe('');
  const push = async (repo: string) => {
    await docker.getImage(source).tag({ repo: `${served.host}/${repo}`, tag: 'v1' });
    return failureOf(await docker.getImage(`${served.host}/${repo}:v1`).push({ authconfig }));
  };
  expect(await push('shop/pushed')).toBe('');
  expect(await embedded.registry().manifest('shop/pushed', 'v1')).not.toBeNull();
  expect(await push('docs/pushed')).toMatch(/denied/);
  await docker.getImage(source).remove({ force: true });
});
