import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { promisify } from 'node:util';

import Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { dockerHost } from '../../tools/test-machine/machine.ts';
import { noise, pushImage, testImage } from '../registry/testing/images.ts';
import { type GuardedRegistry, startGuardedRegistry } from './testing/registry-door.ts';

const run = promisify(execFile);

let registry: GuardedRegistry;

beforeAll(async () => {
  registry = await startGuardedRegistry();
});
afterAll(() => registry.close());

async function image(repository: string) {
  const made = await testImage([{ data: noise(200_000, repository) }]);
  await pushImage(registry.embedded.registry(), repository, made, 'v1');
  return made;
}

test('skopeo logs in once, copies within its project, and is told why it may not elsewhere', async () => {
  const { digest } = await image('shop/web');
  await image('docs/site');
  const authFile = join(registry.directory, 'skopeo.json');
  const skopeo = async (...argv: string[]) => run('skopeo', argv);
  const login = ['login', '--tls-verify=false', '--authfile', authFile, '--username', 'any', '--password'];
  await expect(skopeo(...login, 'wrong', registry.host)).rejects.toThrow();
  await skopeo(...login, registry.token, registry.host);
  const flags = ['--authfile', authFile, '--src-tls-verify=false', '--dest-tls-verify=false'];
  const copy = async (from: string, to: string) =>
    skopeo('copy', ...flags, `docker://${registry.host}/${from}`, `docker://${registry.host}/${to}`);
  await copy('shop/web:v1', 'shop/copy:v2');
  expect((await registry.embedded.registry().manifest('shop/copy', 'v2'))?.digest).toBe(digest);
  await expect(copy('docs/site:v1', 'shop/stolen:v1')).rejects.toThrow(/denied|may not pull docs\/site/);
  await skopeo('delete', '--authfile', authFile, '--tls-verify=false', `docker://${registry.host}/shop/copy:v2`);
  expect(await registry.embedded.registry().manifest('shop/copy', 'v2')).toBeNull();
});

test('a Docker Engine logs in, pulls and pushes within its project alone', async () => {
  const { digest } = await image('shop/api');
  const docker = new Docker({ socketPath: (await dockerHost()).replace(/^unix:\/\//, '') });
  const authconfig = { username: 'any', password: registry.token, serveraddress: registry.host };
  const failureOf = async (stream: NodeJS.ReadableStream) => {
    let failure = '';
    stream.on('data', (chunk: Buffer) => (failure += /"error":"[^"]*"/.exec(chunk.toString())?.[0] ?? ''));
    await finished(stream);
    return failure;
  };
  await docker.checkAuth(authconfig);
  await expect(docker.checkAuth({ ...authconfig, password: 'wrong' })).rejects.toThrow();
  const source = `${registry.host}/shop/api@${digest}`;
  await expect(docker.pull(source)).rejects.toThrow();
  expect(await failureOf(await docker.pull(source, { authconfig }))).toBe('');
  const push = async (repo: string) => {
    await docker.getImage(source).tag({ repo: `${registry.host}/${repo}`, tag: 'v1' });
    return failureOf(await docker.getImage(`${registry.host}/${repo}:v1`).push({ authconfig }));
  };
  expect(await push('shop/pushed')).toBe('');
  expect(await registry.embedded.registry().manifest('shop/pushed', 'v1')).not.toBeNull();
  expect(await push('docs/pushed')).toMatch(/denied/);
  await docker.getImage(source).remove({ force: true });
});
