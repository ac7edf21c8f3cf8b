import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findGoProgram } from '../../tools/go-programs.js';
import { noise, pushImage, testImage } from '../registry/testing/images.ts';
import { type GuardedRegistry, startGuardedRegistry } from './testing/registry-door.ts';

const run = promisify(execFile);

let registry: GuardedRegistry;

beforeAll(async () => {
  registry = await startGuardedRegistry();
});
afterAll(() => registry.close());

function clientOf(name: 'crane' | 'oras' | 'cosign') {
  const { path = '', missing } = findGoProgram(name);
  if (missing !== undefined) process.stderr.write(`${missing}\n`);
  const call = async (...argv: string[]) =>
    (
      await run(path, argv, {
        cwd: registry.directory,
        env: { ...process.env, DOCKER_CONFIG: join(registry.directory, name), COSIGN_PASSWORD: '' },
      })
    ).stdout.trim();
  return { isThere: missing === undefined, call };
}

const crane = clientOf('crane');
describe.runIf(crane.isThere)('crane', () => {
  test('logs in, copies, tags, lists, pulls and deletes within its project, and is refused elsewhere', async () => {
    const image = await testImage([{ data: noise(300_000, 'crane') }]);
    await pushImage(registry.embedded.registry(), 'shop/web', image, 'v1');
    await pushImage(registry.embedded.registry(), 'docs/site', image, 'v1');
    const at = (name: string) => `${registry.host}/${name}`;
    await crane.call('auth', 'login', '--insecure', '--username', 'any', '--password', registry.token, registry.host);
    expect(await crane.call('digest', at('shop/web:v1'))).toBe(image.digest);
    await crane.call('copy', at('shop/web:v1'), at('shop/copy:v2'));
    await crane.call('tag', at('shop/copy:v2'), 'v3');
    expect(await crane.call('ls', at('shop/copy'))).toBe('v2\nv3');
    await crane.call('pull', '--format', 'oci', at('shop/copy:v3'), join(registry.directory, 'pulled'));
    await crane.call('push', join(registry.directory, 'pulled'), at('shop/pushed:v1'));
    expect((await registry.embedded.registry().manifest('shop/pushed', 'v1'))?.digest).toBe(image.digest);
    await crane.call('delete', at('shop/copy:v2'));
    expect(await registry.embedded.registry().tags('shop/copy')).toEqual(['v3']);
    await expect(crane.call('digest', at('docs/site:v1'))).rejects.toThrow(/DENIED|403/);
    await expect(crane.call('tag', at('docs/site:v1'), 'v2')).rejects.toThrow(/DENIED|403/);
  });
});

const oras = clientOf('oras');
describe.runIf(oras.isThere)('oras', () => {
  test('pushes an artifact, attaches a statement to an image and finds it by the referrers API', async () => {
    const image = await testImage([{ data: noise(1000, 'oras') }]);
    await pushImage(registry.embedded.registry(), 'shop/api', image, 'v1');
    const at = (name: string) => `${registry.host}/${name}`;
    await oras.call('login', '--plain-http', '--username', 'any', '--password', registry.token, registry.host);
    await writeFile(join(registry.directory, 'report.txt'), 'all is well');
    await oras.call('push', '--plain-http', at('shop/reports:first'), 'report.txt:text/plain');
    await rm(join(registry.directory, 'report.txt'));
    await oras.call('pull', '--plain-http', at('shop/reports:first'));
    expect(await readFile(join(registry.directory, 'report.txt'), 'utf8')).toBe('all is well');
    const type = 'application/vnd.towpath.test';
    await oras.call('attach', '--plain-http', '--artifact-type', type, at('shop/api:v1'), 'report.txt:text/plain');
    expect(await registry.embedded.registry().referrers('shop/api', image.digest, type)).toHaveLength(1);
    const discover = ['discover', '--plain-http', '--format', 'json', '--artifact-type', type, at('shop/api:v1')];
    expect(await oras.call(...discover)).toContain(type);
    await expect(oras.call('push', '--plain-http', at('docs/site:x'), 'report.txt')).rejects.toThrow(/403|denied/i);
  });
});

const cosign = clientOf('cosign');
describe.runIf(cosign.isThere)('cosign', () => {
  test('signs an image, states something about it and finds both, as referrers and by tag', async () => {
    const image = await testImage([{ data: noise(1000, 'cosign') }]);
    await pushImage(registry.embedded.registry(), 'shop/signed', image, 'v1');
    const at = `${registry.host}/shop/signed@${image.digest}`;
    const type = 'https://towpath.example/tested/v1';
    await writeFile(join(registry.directory, 'tested.json'), '{"result":"PASSED"}');
    const key = ['--key', 'cosign.key'];
    const alone = [...key, '--tlog-upload=false', '--use-signing-config=false', '--yes']; // no log, nobody outside
    const statement = ['--predicate', 'tested.json', '--type', type];
    // whom else to trust: nobody, said in a file, for else cosign asks the Internet
    const trust = { mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1' };
    await writeFile(join(registry.directory, 'trust.json'), JSON.stringify(trust));
    const verify = ['--key', 'cosign.pub', '--insecure-ignore-tlog', '--trusted-root', 'trust.json'];

    await cosign.call('generate-key-pair');
    await expect(cosign.call('sign', ...alone, at)).rejects.toThrow(/UNAUTHORIZED|401/);
    await cosign.call('login', '--username', 'any', '--password', registry.token, registry.host);
    await cosign.call('sign', ...alone, at);
    await cosign.call('attest', ...alone, ...statement, at);
    const bundle = 'application/vnd.dev.sigstore.bundle.v0.3+json';
    expect(await registry.embedded.registry().referrers('shop/signed', image.digest, bundle)).toHaveLength(2);
    expect(await cosign.call('verify', ...verify, at)).toContain(image.digest);
    expect(await cosign.call('verify-attestation', ...verify, '--type', type, at)).not.toBe('');
    await expect(cosign.call('verify-attestation', ...verify, '--type', 'slsaprovenance1', at)).rejects.toThrow();

    await cosign.call('sign', ...alone, '--new-bundle-format=false', at);
    expect(await registry.embedded.registry().tags('shop/signed')).toContain(`${image.digest.replace(':', '-')}.sig`);
    expect(await cosign.call('verify', ...verify, '--new-bundle-format=false', at)).toContain(image.digest);
    const elsewhere = await testImage([{ data: noise(1000, 'elsewhere') }]);
    await pushImage(registry.embedded.registry(), 'docs/signed', elsewhere, 'v1');
    const foreign = `${registry.host}/docs/signed@${elsewhere.digest}`;
    await expect(cosign.call('sign', ...alone, foreign)).rejects.toThrow(/DENIED|403/);
  });
});
