import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { dockerCredentials } from './docker-credentials.ts';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-docker-config-'));
  const helper = [
    '#!/bin/sh',
    'read -r server || true',
    'case "$1 $server" in',
    '  "get vault.test") echo \'{"ServerURL":"vault.test","Username":"robot","Secret":"from-helper"}\' ;;',
    '  "get token.test") echo \'{"Username":"<token>","Secret":"refresh"}\' ;;',
    '  "get slow.test") sleep 600 ;;',
    '  "get broken.test") echo "no JSON, secret inside" ;;',
    '  *) echo "credentials not found in native keychain"; exit 1 ;;',
    'esac',
  ];
  await writeFile(join(directory, 'docker-credential-fake'), helper.join('\n'));
  await chmod(join(directory, 'docker-credential-fake'), 0o755);
});
afterAll(async () => rm(directory, { recursive: true }));

async function lookUp(config: object | string): Promise<(host: string) => Promise<unknown>> {
  const configFile = join(directory, 'config.json');
  await writeFile(configFile, typeof config === 'string' ? config : JSON.stringify(config));
  const environment = { PATH: `${directory}:${process.env['PATH']}` };
  return dockerCredentials({ configFile, environment });
}

test('what `docker login` wrote is found by its host, also under an old key and for Docker Hub', async () => {
  const auth = Buffer.from('robot:pass:word').toString('base64');
  const find = await lookUp({
    auths: {
      'plain.test': { auth },
      'https://old.test/v1/': { auth },
      'https://index.docker.io/v1/': { auth },
      'identity.test': { auth: '', identitytoken: 'refresh' },
      'ready.test': { registrytoken: 'access' },
      'empty.test': {},
    },
  });
  const basic = { kind: 'basic', username: 'robot', password: 'pass:word' };
  expect(await find('plain.test')).toEqual(basic);
  expect(await find('old.test')).toEqual(basic);
  expect(await find('docker.io')).toEqual(basic);
  expect(await find('identity.test')).toEqual({ kind: 'identity', token: 'refresh' });
  expect(await find('ready.test')).toEqual({ kind: 'bearer', token: 'access' });
  expect(await find('empty.test')).toBeNull();
  expect(await find('unknown.test')).toBeNull();
});

test('a helper is asked for its host, and for all hosts where it keeps them', async () => {
  const find = await lookUp({ credHelpers: { 'vault.test': 'fake' }, auths: {} });
  expect(await find('vault.test')).toEqual({ kind: 'basic', username: 'robot', password: 'from-helper' });
  expect(await find('token.test')).toBeNull();
  const findAll = await lookUp({ credsStore: 'fake' });
  expect(await findAll('token.test')).toEqual({ kind: 'identity', token: 'refresh' });
  expect(await findAll('nobody.test')).toBeNull();
});

test('a helper that does not answer in time is an error, also when what it started goes on', async () => {
  const configFile = join(directory, 'slow.json');
  await writeFile(configFile, JSON.stringify({ credHelpers: { 'slow.test': 'fake' } }));
  const environment = { PATH: `${directory}:${process.env['PATH']}` };
  const find = dockerCredentials({ configFile, environment, helperTimeoutMs: 50 });
  await expect(find('slow.test')).rejects.toMatchObject({
    code: 'registry.credentials',
    what: expect.stringContaining('no answer within') as string,
  });
});

test('a missing configuration is no credentials; a broken one, or a broken helper, is an error without its text', async () => {
  expect(await dockerCredentials({ configFile: join(directory, 'none.json') })('plain.test')).toBeNull();
  const code = 'registry.credentials';
  await expect((await lookUp('{"auths": secret'))('plain.test')).rejects.toMatchObject({ code });
  await expect((await lookUp({ credsStore: 'absent' }))('plain.test')).rejects.toMatchObject({ code });
  await expect((await lookUp({ credsStore: '../../bin/sh' }))('plain.test')).rejects.toMatchObject({ code });
  const broken = (await lookUp({ credsStore: 'fake' }))('broken.test');
  await expect(broken).rejects.toMatchObject({ code, message: expect.not.stringContaining('secret inside') as string });
});
