import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findGoProgram } from '../../tools/go-programs.js';
import { createGuard } from '../access/guard.ts';
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
/** May push into the project `shop`, and may do nothing elsewhere. */
let token: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-clients-'));
  const guard = createGuard({ keeper: memoryKeeper(), clock: systemClock, random: randomBytes });
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

function clientOf(name: 'crane' | 'oras') {
  const { path = '', missing } = findGoProgram(name);
  if (missing !== undefined) process.stderr.write(`${missing}\n`);
  const call = async (...argv: string[]) =>
    (
      await run(path, argv, { cwd: directory, env: { ...process.env, DOCKER_CONFIG: join(directory, name) } })
    ).stdout.trim();
  return { isThere: missing === undefined, call };
}

const crane = clientOf('crane');
describe.runIf(crane.isThere)('crane', () => {
  test('logs in, copies, tags, lists, pulls and deletes within its project, and is refused elsewhere', async () => {
    const image = await testImage([{ data: noise(300_000, 'crane') }]);
    await pushImage(embedded.registry(), 'shop/web', image, 'v1');
    await pushImage(embedded.registry(), 'docs/site', image, 'v1');
    const at = (name: string) => `${served.host}/${name}`;
    await crane.call('auth', 'login', '--insecure', '--username', 'any', '--password', token, served.host);
    expect(await crane.call('digest', at('shop/web:v1'))).toBe(image.digest);
    await crane.call('copy', at('shop/web:v1'), at('shop/copy:v2'));
    await crane.call('tag', at('shop/copy:v2'), 'v3');
    expect(await crane.call('ls', at('shop/copy'))).toBe('v2\nv3');
    await crane.call('pull', '--format', 'oci', at('shop/copy:v3'), join(directory, 'pulled'));
    await crane.call('push', join(directory, 'pulled'), at('shop/pushed:v1'));
    expect((await embedded.registry().manifest('shop/pushed', 'v1'))?.digest).toBe(image.digest);
    await crane.call('delete', at('shop/copy:v2'));
    expect(await embedded.registry().tags('shop/copy')).toEqual(['v3']);
    await expect(crane.call('digest', at('docs/site:v1'))).rejects.toThrow(/DENIED|403/);
    await expect(crane.call('tag', at('docs/site:v1'), 'v2')).rejects.toThrow(/DENIED|403/);
  });
});

const oras = clientOf('oras');
describe.runIf(oras.isThere)('oras', () => {
  test('pushes an artifact, attaches a statement to an image and finds it by the referrers API', async () => {
    const image = await testImage([{ data: noise(1000, 'oras') }]);
    await pushImage(embedded.registry(), 'shop/api', image, 'v1');
    const at = (name: string) => `${served.host}/${name}`;
    await oras.call('login', '--plain-http', '--username', 'any', '--password', token, served.host);
    await writeFile(join(directory, 'report.txt'), 'all is well');
    await oras.call('push', '--plain-http', at('shop/reports:first'), 'report.txt:text/plain');
    await rm(join(directory, 'report.txt'));
    await oras.call('pull', '--plain-http', at('shop/reports:first'));
    expect(await readFile(join(directory, 'report.txt'), 'utf8')).toBe('all is well');
    const type = 'application/vnd.towpath.test';
    await oras.call('attach', '--plain-http', '--artifact-type', type, at('shop/api:v1'), 'report.txt:text/plain');
    expect(await embedded.registry().referrers('shop/api', image.digest, type)).toHaveLength(1);
    const discover = ['discover', '--plain-http', '--format', 'json', '--artifact-type', type, at('shop/api:v1')];
    expect(await oras.call(...discover)).toContain(type);
    await expect(oras.call('push', '--plain-http', at('docs/site:x'), 'report.txt')).rejects.toThrow(/403|denied/i);
  });
});
